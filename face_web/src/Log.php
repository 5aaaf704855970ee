<?php

/**
 * The site's lines in PHP's error log. Each begins with the id of the request that it is about, which is kept here: a
 * process answers one request at a time. Whatever somebody else has put into a line, it begins no other.
 */

declare(strict_types=1);

namespace FaceWeb;

final class Log
{
    private static string $requestId = '';

    public static function about(string $requestId): void
    {
        self::$requestId = $requestId;
    }

    public static function write(string $message): bool
    {
        $escape = static fn (array $found): string => sprintf('\x%02x', ord($found[0]));
        $lines = (string) preg_replace_callback('/[\x00-\x08\x0b-\x1f\x7f]/', $escape, $message);
        $begin = self::$requestId === '' ? '' : '[' . self::$requestId . '] ';
        return self::put($begin . str_replace("\n", "\n    ", $lines));
    }

    /** `php -q -S` keeps quiet about requests, and with them about every line that has no file to go to. */
    private static function put(string $line): bool
    {
        if (PHP_SAPI !== 'cli-server' || ini_get('error_log') !== '') {
            return \error_log($line);
        }
        return file_put_contents('php://stderr', date('[D M d H:i:s Y] ') . "$line\n") !== false;
    }
}
