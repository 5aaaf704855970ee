<?php

/** The database cannot be used: an operator must act. Messages hold no password. */

declare(strict_types=1);

namespace FaceWeb;

use RuntimeException;
use Throwable;

final class DatabaseError extends RuntimeException
{
    public static function cannotOpen(string $what, Throwable $cause): self
    {
        return new self("the database $what cannot be opened: " . $cause->getMessage(), 0, $cause);
    }

    public static function unreadablePassword(string $path): self
    {
        return new self("[database] password_file: $path cannot be read");
    }

    public static function directory(string $path): self
    {
        return new self("[database] path: the directory $path cannot be made");
    }

    public static function notMigrated(): self
    {
        return new self('the database has not been migrated: run `php face_web/bin/console migrate`');
    }

    public static function newer(int $found, int $known): self
    {
        return new self("the database has version $found and this code knows $known: use the newer code");
    }

    public static function foreign(string $column): self
    {
        return new self("the database has a table face_user without the column $column: it is not ours to change");
    }
}
