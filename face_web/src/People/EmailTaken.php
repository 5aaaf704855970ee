<?php

/** The email belongs to another account. */

declare(strict_types=1);

namespace FaceWeb\People;

use RuntimeException;

final class EmailTaken extends RuntimeException
{
    public static function byAnother(): self
    {
        return new self('this email belongs to another account');
    }
}
