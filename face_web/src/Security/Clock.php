<?php

/** Owns the question what time it is, so that no other class reads the machine's clock. */

declare(strict_types=1);

namespace FaceWeb\Security;

interface Clock
{
    /** Seconds since 1970, UTC. It may go backwards. */
    public function now(): int;
}
