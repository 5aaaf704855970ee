<?php

/** A token of the daemon in its file. Read when it is first needed, since the daemon makes it at its first start. */

declare(strict_types=1);

namespace FaceWeb\FaceServer;

final class TokenFile
{
    /** The protocol's own bound. */
    private const MAX_BYTES = 256;

    public function __construct(private readonly string $path)
    {
    }

    /** Whether this process may read it. */
    public function isReadable(): bool
    {
        return is_file($this->path) && is_readable($this->path);
    }

    /** @throws Unreachable when there is none that could be sent */
    public function read(): string
    {
        $text = $this->isReadable() ? @file_get_contents($this->path, false, null, 0, self::MAX_BYTES + 2) : false;
        $token = $text === false ? '' : trim($text, " \t\r\n");
        if (preg_match('/^[\x21-\x7e]{1,' . self::MAX_BYTES . '}$/D', $token) !== 1) {
            throw Unreachable::withoutToken($this->path);
        }
        return $token;
    }
}
