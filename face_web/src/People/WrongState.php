<?php

/** The account or its face is not in the state that the step asked for starts from. */

declare(strict_types=1);

namespace FaceWeb\People;

use RuntimeException;

final class WrongState extends RuntimeException
{
    public static function account(int $id, string $step): self
    {
        return new self("account $id cannot be $step now");
    }

    public static function faceExists(int $id): self
    {
        return new self("account $id has a face already");
    }

    public static function noFace(int $id): self
    {
        return new self("account $id has no face");
    }
}
