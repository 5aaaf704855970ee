<?php

/** What the site knows of somebody's face: under which subject the daemon has it, and how far along it is. */

declare(strict_types=1);

namespace FaceWeb\People;

final class Face
{
    public function __construct(
        public readonly string $subject,
        public readonly FaceState $state,
        public readonly int $createdAt,
    ) {
    }
}
