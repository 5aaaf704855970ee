<?php

/**
 * A registered site: what it is called and where browsers may be sent back to. Knows nothing of its secret.
 */

declare(strict_types=1);

namespace FaceWeb\Exchange;

final class Client
{
    /** @param list<string> $returnTo exact addresses */
    public function __construct(
        public readonly string $id,
        public readonly string $name,
        public readonly array $returnTo,
        public readonly int $createdAt,
    ) {
    }

    public function mayReturnTo(string $address): bool
    {
        return in_array($address, $this->returnTo, true);
    }
}
