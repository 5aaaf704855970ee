<?php

/**
 * One thing that a living person is asked to do. Left and right are the picture's, whose left is the person's right.
 */

declare(strict_types=1);

namespace FaceWeb\FaceServer;

final class LivenessStep
{
    public const FLASH = 'flash';
    /** What this version can put into words. */
    public const KINDS = ['turn_left', 'turn_right', 'look_up', 'look_down', 'come_closer', self::FLASH];

    /** @param string|null $colour `#rrggbb` that the screen shows in a flash, else null */
    public function __construct(public readonly string $kind, public readonly ?string $colour = null)
    {
    }
}
