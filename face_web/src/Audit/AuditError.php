<?php

/** The audit log cannot be written: an operator must act, and until then what would be logged is not done. */

declare(strict_types=1);

namespace FaceWeb\Audit;

use RuntimeException;

final class AuditError extends RuntimeException
{
    public static function keyMissing(string $path): self
    {
        return new self("the audit log has lines, but its key $path is missing: restore it from the backup");
    }

    public static function keyInvalid(string $path): self
    {
        return new self("$path is not a key of 64 hexadecimal digits: restore it from the backup");
    }

    public static function unwritable(string $path): self
    {
        return new self("$path cannot be written: check its directory's owner, mode and free space");
    }

    public static function notDetail(string $key): self
    {
        return new self("'$key' cannot stand in the audit log: only short texts, whole numbers and yes/no, no secrets");
    }
}
