<?php

/** The machine's clock. */

declare(strict_types=1);

namespace FaceWeb\Security;

final class SystemClock implements Clock
{
    public function now(): int
    {
        return time();
    }
}
