<?php

/** One face of a picture: where it is, and how sure the detector is that it is a face. */

declare(strict_types=1);

namespace FaceWeb\FaceServer;

final class Face
{
    /**
     * @param array{float, float, float, float} $box x1, y1, x2, y2; may reach past the edge
     * @param list<array{float, float}> $landmarks five: eye, eye, nose, mouth corner, mouth corner
     * @param float $confidence 0 to 1
     */
    public function __construct(
        public readonly array $box,
        public readonly array $landmarks,
        public readonly float $confidence,
    ) {
    }
}
