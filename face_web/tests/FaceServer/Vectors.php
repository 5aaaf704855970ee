<?php

/** The golden frames that Python and PHP both read; see tests/vectors/README.md. */

declare(strict_types=1);

namespace FaceWeb\Tests\FaceServer;

final class Vectors
{
    /** @return array<string, array{array<string, mixed>}> by file and name, as a data provider gives them */
    public static function of(string ...$files): array
    {
        $all = [];
        foreach ($files as $file) {
            $text = (string) file_get_contents(__DIR__ . "/../../../tests/vectors/{$file}.json");
            foreach (json_decode($text, true, 32, JSON_THROW_ON_ERROR) as $entry) {
                $all["{$file}: {$entry['name']}"] = [$entry];
            }
        }
        return $all;
    }

    /** @return array<string, mixed> */
    public static function one(string $file, string $name): array
    {
        return self::of($file)["{$file}: {$name}"][0];
    }

    /** @param array<string, mixed> $entry */
    public static function frame(array $entry): string
    {
        return (string) hex2bin($entry['hex']);
    }

    /** @param array<string, mixed> $entry */
    public static function content(array $entry): string
    {
        return substr(self::frame($entry), 4);
    }
}
