"""What becomes of trouble below HTTP."""

from __future__ import annotations

import ssl

import pytest
from urllib3.exceptions import SSLError

from gitcd.cluster.answers import unanswered
from gitcd.errors import ConfigError, TransientError


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), TransientError),
        (ssl.SSLZeroReturnError(6, "TLS/SSL connection has been closed"), TransientError),
        (ssl.SSLCertVerificationError(1, "self-signed certificate"), ConfigError),
        (ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] certificate required"), ConfigError),
    ],
)
def test_a_connection_that_breaks_off_is_no_matter_of_certificates(trouble, kind):
    assert type(unanswered(SSLError(trouble), "https://api.example.com")) is kind
