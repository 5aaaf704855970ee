<?php

/**
 * TLS with the daemon: what is trusted, and the handshake on a connected stream. Chain and name are always checked, and
 * there is no way to ask for less. Knows no frames.
 */

declare(strict_types=1);

namespace FaceWeb\FaceServer;

final class Tls
{
    private const VERSIONS = STREAM_CRYPTO_METHOD_TLSv1_2_CLIENT | STREAM_CRYPTO_METHOD_TLSv1_3_CLIENT;

    /**
     * @param string $name that the certificate must be for
     * @param string|null $caFile PEM of the certificate, or who signed it, that alone is trusted; null: the system's
     */
    public function __construct(
        private readonly string $name,
        private readonly ?string $caFile = null,
    ) {
    }

    /** @return array<string, bool|string> of PHP's stream context `ssl` */
    public function options(): array
    {
        if ($this->caFile !== null && !(is_file($this->caFile) && is_readable($this->caFile))) {
            throw Unreachable::withoutTrust($this->caFile);
        }
        return [
            'verify_peer' => true,
            'verify_peer_name' => true,
            'allow_self_signed' => false,
            'disable_compression' => true,
            'peer_name' => $this->name,
        ] + ($this->caFile === null ? [] : ['cafile' => $this->caFile]);
    }

    /**
     * @param resource $stream connected, with these options, not blocking
     * @param \Closure(): mixed $wait returns when something can be read, raises Unreachable when that is too late
     * @throws Unreachable
     */
    public function agree(mixed $stream, string $where, \Closure $wait): void
    {
        $told = '';
        set_error_handler(static function (int $level, string $message) use (&$told): bool {
            $told .= "$message\n";
            return true;
        });
        try {
            while (($agreed = stream_socket_enable_crypto($stream, true, self::VERSIONS)) === 0) {
                $wait();
            }
        } finally {
            restore_error_handler();
        }
        if ($agreed !== true) {
            throw Unreachable::untrusted($where, self::why($told));
        }
    }

    /** PHP's own words hold what the other side has put into its certificate, which is nothing for a log. */
    private static function why(string $told): string
    {
        return match (true) {
            str_contains($told, 'did not match'), str_contains($told, 'Unable to locate peer certificate CN')
                => 'its certificate is for another name than [server] tls_name or host says',
            str_contains($told, 'certificate verify failed')
                => 'its certificate has expired, or is not of those that [server] tls_ca (else the system) trusts',
            str_contains($told, 'wrong version number')
                => 'it does not speak TLS; set [server] tls_cert and tls_key there, or take tls_ca away here',
            default => 'it does not agree on a version of TLS (1.2 or later), or closed',
        };
    }
}
