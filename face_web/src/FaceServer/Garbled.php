<?php

/** What came is not this protocol. SocketFaceServer turns it into Unreachable; nobody else meets it. */

declare(strict_types=1);

namespace FaceWeb\FaceServer;

final class Garbled extends \UnexpectedValueException
{
    public static function because(string $why): self
    {
        return new self($why);
    }
}
