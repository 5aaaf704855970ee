<?php

/**
 * The options as face_server/config.py declares them (by way of options.json, which scripts/web-options prints), and
 * how a raw string becomes a value: type, range, choices, absolute path. Knows no rule that joins two options.
 */

declare(strict_types=1);

namespace FaceWeb;

final class OptionTable
{
    private const FILE = __DIR__ . '/../options.json';

    /**
     * @param list<string> $sections every section that config.ini may have, those of the daemon alone too
     * @param array<string, list<array<string, mixed>>> $options of the sections that the site reads
     */
    private function __construct(
        private readonly array $sections,
        private readonly array $options,
    ) {
    }

    public static function load(): self
    {
        $table = json_decode((string) file_get_contents(self::FILE), true, 8, JSON_THROW_ON_ERROR);
        return new self($table['sections'], $table['options']);
    }

    /**
     * Every option of the site's sections, those that the file leaves out with their default.
     *
     * @return array<string, array<string, bool|int|float|string|null>> by section and name
     */
    public function values(string $path): array
    {
        $given = IniFile::read($path);
        $root = (string) realpath(dirname($path));
        $this->requireKnown($path, $given);
        $values = [];
        foreach ($this->options as $section => $options) {
            foreach ($options as $option) {
                $raw = $given[$section][$option['name']] ?? null;
                $value = $raw === null ? $option['default'] : self::parsed($path, $section, $option, trim($raw));
                $isPath = str_starts_with($option['type'], 'path') && is_string($value);
                $values[$section][$option['name']] = $isPath ? self::rooted($root, $value) : $value;
            }
        }
        return $values;
    }

    /** @param array<string, array<string, string>> $given */
    private function requireKnown(string $path, array $given): void
    {
        foreach ($given as $section => $options) {
            if (!in_array((string) $section, $this->sections, true)) {
                $known = implode(', ', $this->sections);
                throw ConfigError::of($path, "unknown section [{$section}]; there are {$known}");
            }
            $known = array_column($this->options[$section] ?? [], 'name');
            $unknown = $known === [] ? [] : array_diff(array_keys($options), $known);
            if ($unknown !== []) {
                $there = implode(', ', $known);
                throw ConfigError::of($path, "unknown option [{$section}] " . reset($unknown) . "; there are {$there}");
            }
        }
    }

    /** @param array<string, mixed> $option */
    private static function parsed(
        string $path,
        string $section,
        array $option,
        string $raw,
    ): bool|int|float|string|null {
        try {
            $value = self::typed($option['type'], $raw);
            self::requireInRange($option, $value);
            return $value;
        } catch (\UnexpectedValueException $error) {
            throw ConfigError::option($path, $section, $option['name'], $raw, $error->getMessage());
        }
    }

    private static function typed(string $type, string $raw): bool|int|float|string|null
    {
        $refused = static fn (string $remedy): never => throw new \UnexpectedValueException($remedy);
        return match ($type) {
            'bool' => match ($raw) {
                'true' => true,
                'false' => false,
                default => $refused('must be true or false'),
            },
            'int' => preg_match('/^-?[0-9]{1,18}$/D', $raw) === 1 ? (int) $raw : $refused('must be a whole number'),
            'float' => preg_match('/^-?[0-9]{1,18}(\.[0-9]{1,18})?$/D', $raw) === 1
                ? (float) $raw : $refused('must be a number such as 0.5'),
            'string' => $raw,
            'path' => $raw !== '' ? $raw : $refused('must be a path'),
            'path or null' => $raw !== '' ? $raw : null,
            default => throw new \LogicException("options.json has the type {$type}, which nothing here reads"),
        };
    }

    /** @param array<string, mixed> $option */
    private static function requireInRange(array $option, bool|int|float|string|null $value): void
    {
        ['low' => $low, 'high' => $high, 'choices' => $choices] = $option;
        if ($low !== null && ($value < $low || $value > $high)) {
            throw new \UnexpectedValueException("must lie between {$low} and {$high}");
        }
        if ($choices !== [] && !in_array($value, $choices, true)) {
            throw new \UnexpectedValueException('must be one of ' . implode(', ', $choices));
        }
    }

    /** An absolute path, written as Python's pathlib writes it: no `.`, no `//`, `..` left alone. */
    private static function rooted(string $root, string $path): string
    {
        $whole = str_starts_with($path, '/') ? $path : "{$root}/{$path}";
        $parts = array_filter(explode('/', $whole), static fn (string $part): bool => $part !== '' && $part !== '.');
        return '/' . implode('/', $parts);
    }
}
