<?php

/** config.ini is wrong; the message names the file, section and option, and what to do. */

declare(strict_types=1);

namespace FaceWeb;

final class ConfigError extends \RuntimeException
{
    public static function of(string $path, string $problem): self
    {
        return new self("{$path}: {$problem}");
    }

    public static function line(string $path, int $number, string $remedy): self
    {
        return new self("{$path}, line {$number}: {$remedy}");
    }

    public static function option(string $path, string $section, string $name, string $raw, string $remedy): self
    {
        return new self("{$path}: [{$section}] {$name} = {$raw}: {$remedy}");
    }
}
