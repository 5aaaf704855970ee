<?php

/** Owns the key file of the audit log: 256 random bits as hexadecimal digits, mode 0600, never replaced. */

declare(strict_types=1);

namespace FaceWeb\Audit;

final class AuditKey
{
    public static function read(string $path): string
    {
        $text = trim((string) @file_get_contents($path));
        if (preg_match('/^[0-9a-f]{64}$/iD', $text) !== 1) {
            throw AuditError::keyInvalid($path);
        }
        return (string) hex2bin($text);
    }

    /** Fails if there is one. */
    public static function make(string $path): void
    {
        $former = umask(0077);
        is_dir(dirname($path)) || @mkdir(dirname($path), 0700, true);
        $file = @fopen($path, 'xb');
        umask($former);
        $made = $file !== false && fwrite($file, bin2hex(random_bytes(32)) . "\n") === 65 && fflush($file)
            && fsync($file) && fclose($file);
        if (!$made) {
            throw AuditError::unwritable($path);
        }
    }
}
