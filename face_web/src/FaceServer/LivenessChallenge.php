<?php

/** What the daemon asks of whoever is before the camera, for one login. Knows neither browser nor answer. */

declare(strict_types=1);

namespace FaceWeb\FaceServer;

final class LivenessChallenge
{
    /** No challenge has more images: PROTOCOL.md. */
    public const MOST_IMAGES = 24;

    /**
     * @param string $id 32 hex digits
     * @param list<LivenessStep> $steps in their order; none where a network alone judges
     */
    public function __construct(
        public readonly string $id,
        public readonly array $steps,
        public readonly int $framesPerStep,
        public readonly float $stepS,
        public readonly float $expiresS,
    ) {
    }

    /** Of looking straight ahead first, then of each step. */
    public static function imagesOf(int $steps, int $framesPerStep): int
    {
        return $framesPerStep * ($steps + 1);
    }
}
