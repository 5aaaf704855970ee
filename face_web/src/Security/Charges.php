<?php

/** What the throttle charged for an attempt when it began. */

declare(strict_types=1);

namespace FaceWeb\Security;

final class Charges
{
    /** @param list<array{Scope, string}> $counters */
    public function __construct(
        public readonly array $counters,
        public readonly int $at,
        public readonly bool $allowed,
    ) {
    }
}
