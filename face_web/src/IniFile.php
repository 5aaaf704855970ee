<?php

/**
 * The text of config.ini -> raw strings by section and option. Refuses what Python's configparser would read
 * differently, by the same rules as `_portable_lines` of face_server/config.py. Knows no option.
 */

declare(strict_types=1);

namespace FaceWeb;

final class IniFile
{
    private const PHP_WORDS = ['yes', 'no', 'on', 'off', 'none', 'null', 'true', 'false'];
    private const LINE = '/^\s*(;.*|\[[a-z0-9_]+\]|[a-z][a-z0-9_]*\s*=.*)?\s*$/Du';
    private const INVISIBLE = '/[^\P{C}\t]|[^\P{Z} ]/u';

    /** @return array<string, array<string, string>> */
    public static function read(string $path): array
    {
        $text = is_file($path) ? @file_get_contents($path) : false;
        if ($text === false || preg_match('//u', $text) !== 1) {
            throw ConfigError::of($path, 'it cannot be read: it must be a readable file in UTF-8');
        }
        $lines = explode("\n", str_replace(["\r\n", "\r"], "\n", $text));
        foreach ($lines as $index => $line) {
            $remedy = self::remedy($line);
            if ($remedy !== null) {
                throw ConfigError::line($path, $index + 1, $remedy);
            }
        }
        self::requireEachOnce($path, $lines);
        return self::parsed($path, implode("\n", $lines));
    }

    /** What to do about a line that the two readers would not read alike; null when they do. */
    private static function remedy(string $line): ?string
    {
        [$name, $value] = explode('=', $line, 2) + [1 => null];
        $given = $value !== null && !str_starts_with($line, ';');
        return match (true) {
            preg_match(self::INVISIBLE, $line) === 1 => 'remove the invisible character '
                . '(if it is the first of the file, save the file as UTF-8 without a BOM)',
            preg_match('/^[ \t]+[^ \t]/', $line) === 1 => 'a line must not begin with a blank (a value has one line)',
            preg_match(self::LINE, $line) !== 1 =>
                "expected [section], lower_snake_case = value, or a comment that begins with ';'",
            $given && strpbrk($value, ";#\"'") !== false =>
                'a value must not hold ; # \' or " (comments stand on a line of their own)',
            $given && in_array(trim($name), self::PHP_WORDS, true) => "PHP reads the name '" . trim($name)
                . "' as a constant",
            default => null,
        };
    }

    /**
     * PHP would let the last one win.
     *
     * @param list<string> $lines
     */
    private static function requireEachOnce(string $path, array $lines): void
    {
        $section = null;
        $seen = [];
        foreach ($lines as $index => $line) {
            if (preg_match('/^\[(.+)\]/', $line, $found) === 1) {
                $section = $found[1];
            } elseif ($line === '' || $line[0] === ';' || !str_contains($line, '=')) {
                continue;
            } elseif ($section === null) {
                throw ConfigError::line($path, $index + 1, 'an option must stand below a [section]');
            }
            $key = $found === [] ? $section . '.' . trim(explode('=', $line)[0]) : $section;
            if (isset($seen[$key])) {
                throw ConfigError::line($path, $index + 1, 'this is given twice; remove one');
            }
            $seen[$key] = true;
        }
    }

    /** @return array<string, array<string, string>> */
    private static function parsed(string $path, string $text): array
    {
        $sections = @parse_ini_string($text, true, INI_SCANNER_RAW);
        if ($sections === false || array_filter($sections, is_array(...)) !== $sections) {
            throw ConfigError::of($path, 'it cannot be parsed; compare it with the config.ini that was delivered');
        }
        return $sections;
    }
}
