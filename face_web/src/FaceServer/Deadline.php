<?php

/** One moment by which a whole call must be done, on a clock that nobody sets. */

declare(strict_types=1);

namespace FaceWeb\FaceServer;

final class Deadline
{
    private readonly float $at;

    /** @param float $timeoutS from now */
    public function __construct(public readonly float $timeoutS)
    {
        $this->at = hrtime(true) / 1e9 + $timeoutS;
    }

    /** Seconds; 0 when it has passed. */
    public function left(): float
    {
        return max(0.0, $this->at - hrtime(true) / 1e9);
    }
}
