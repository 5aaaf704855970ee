<?php

/**
 * What the login page may show of a request that waits for a login.
 */

declare(strict_types=1);

namespace FaceWeb\Exchange;

final class PendingRequest
{
    public function __construct(
        public readonly string $name,
        public readonly string $host,
        public readonly string $origin,
    ) {
    }
}
