<?php

/** One template that the daemon keeps of a face, and when it was taken. */

declare(strict_types=1);

namespace FaceWeb\People;

final class Capture
{
    public function __construct(public readonly int $templateId, public readonly int $createdAt)
    {
    }
}
