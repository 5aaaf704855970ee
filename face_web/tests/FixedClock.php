<?php

/** A clock that a test sets. */

declare(strict_types=1);

namespace FaceWeb\Tests;

use FaceWeb\Security\Clock;

final class FixedClock implements Clock
{
    public function __construct(private int $now = 1_800_000_000)
    {
    }

    public function now(): int
    {
        return $this->now;
    }

    public function advance(int $seconds): void
    {
        $this->now += $seconds;
    }

    public function set(int $now): void
    {
        $this->now = $now;
    }
}
