<?php

/** [web] of config.ini: how the site behaves. Only values; Config checks them. Paths are absolute. */

declare(strict_types=1);

namespace FaceWeb;

final class WebOptions
{
    /** @param list<string> $trustedProxies addresses or networks such as 10.0.0.0/8 */
    public function __construct(
        public readonly string $host,
        public readonly int $port,
        public readonly string $baseUrl,
        public readonly string $siteName,
        public readonly string $loginMode,
        public readonly string $liveness,
        public readonly bool $faceOnlyAccepted,
        public readonly string $registration,
        public readonly bool $uploadAccepted,
        public readonly int $burstFrames,
        public readonly string $sessionPath,
        public readonly int $sessionIdleS,
        public readonly int $sessionAbsoluteS,
        public readonly int $freshLoginS,
        public readonly array $trustedProxies,
        public readonly float $daemonTimeoutS,
        public readonly string $auditKeyFile,
        public readonly string $auditHeadFile,
    ) {
    }

    /** Whether browsers reach the site by https, so that cookies must be Secure. */
    public function isHttps(): bool
    {
        return str_starts_with($this->baseUrl, 'https://');
    }

    /** Whether only browsers on this very machine reach the site. */
    public function isLoopback(): bool
    {
        return Loopback::holds((string) parse_url($this->baseUrl, PHP_URL_HOST));
    }
}
