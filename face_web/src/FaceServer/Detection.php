<?php

/** What `detect` found in a picture. Pixels are of the upright picture. */

declare(strict_types=1);

namespace FaceWeb\FaceServer;

final class Detection
{
    /** @param list<Face> $faces largest first */
    public function __construct(
        public readonly int $width,
        public readonly int $height,
        public readonly array $faces,
    ) {
    }
}
