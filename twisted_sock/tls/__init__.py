"""TLS: certificates from files, what OpenSSL is told, its reasons in words, and taking turns."""
