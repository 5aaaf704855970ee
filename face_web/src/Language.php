<?php

/**
 * The texts of one language, and which language a browser wants. One file per language, all with the same keys.
 * A text `key.crops` stands in for `key` where the daemon keeps a crop of each face: no page may promise otherwise.
 */

declare(strict_types=1);

namespace FaceWeb;

final class Language
{
    private const DIRECTORY = __DIR__ . '/../lang';
    private const CROPS = '.crops';
    private const TAGS = ['en' => 'en', 'zh' => 'zh-Hans'];

    /** @param array<string, string> $texts */
    private function __construct(public readonly string $code, private readonly array $texts)
    {
    }

    public static function named(string $code, bool $keepsCrops = false): self
    {
        isset(self::TAGS[$code]) || throw new \InvalidArgumentException("there is no language $code");
        $texts = require self::DIRECTORY . "/$code.php";
        foreach ($keepsCrops ? $texts : [] as $key => $text) {
            if (str_ends_with($key, self::CROPS)) {
                $texts[substr($key, 0, -strlen(self::CROPS))] = $text;
            }
        }
        return new self($code, $texts);
    }

    /** Of `Accept-Language`; English where nothing fits. */
    public static function accepted(?string $header, bool $keepsCrops = false): self
    {
        $wishes = [];
        foreach (explode(',', substr($header ?? '', 0, 500)) as $place => $part) {
            [$range, $q] = explode(';', $part, 2) + [1 => ''];
            $code = strtolower(explode('-', trim($range))[0]);
            $weight = preg_match('/\A\s*q=([01](?:\.\d{0,3})?)\s*\z/', $q, $found) === 1 ? (float) $found[1] : 1.0;
            if (isset(self::TAGS[$code]) && $weight > 0) {
                $wishes[$code] = max($wishes[$code] ?? 0.0, $weight - $place / 1e6);
            }
        }
        arsort($wishes);
        return self::named((string) (array_key_first($wishes) ?? 'en'), $keepsCrops);
    }

    /** @return list<string> */
    public static function codes(): array
    {
        return array_keys(self::TAGS);
    }

    public function tag(): string
    {
        return self::TAGS[$this->code];
    }

    public function has(string $key): bool
    {
        return isset($this->texts[$key]);
    }

    /** @param array<string, string|int> $values for the `{name}` of the text */
    public function text(string $key, array $values = []): string
    {
        $text = $this->texts[$key] ?? throw new \LogicException("there is no text '$key' in '$this->code'");
        $places = array_map(static fn (string $name): string => '{' . $name . '}', array_keys($values));
        return strtr($text, array_combine($places, array_map(strval(...), $values)));
    }

    /** @return array<string, string> all texts whose key begins so, under the whole key */
    public function group(string $prefix): array
    {
        return array_filter(
            $this->texts,
            static fn (string $key): bool => str_starts_with($key, $prefix),
            ARRAY_FILTER_USE_KEY,
        );
    }

    /** @return list<string> */
    public function keys(): array
    {
        return array_keys($this->texts);
    }
}
