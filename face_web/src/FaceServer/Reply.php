<?php

/** A JSON object of a reply, read strictly: a key that is missing or of another type is Garbled. Unknown keys may be. */

declare(strict_types=1);

namespace FaceWeb\FaceServer;

final class Reply
{
    /** @param array<array-key, mixed> $fields */
    public function __construct(private readonly array $fields)
    {
    }

    /** Whether the key is there with exactly this value. */
    public function has(string $key, bool|int|float|string|null $value): bool
    {
        return array_key_exists($key, $this->fields) && $this->fields[$key] === $value;
    }

    public function bool(string $key): bool
    {
        return is_bool($value = $this->value($key)) ? $value : throw self::wrong($key, 'a boolean');
    }

    public function int(string $key): int
    {
        return is_int($value = $this->value($key)) ? $value : throw self::wrong($key, 'an integer');
    }

    public function float(string $key): float
    {
        return self::number($key, $this->value($key));
    }

    public function string(string $key): string
    {
        return is_string($value = $this->value($key)) ? $value : throw self::wrong($key, 'a string');
    }

    public function object(string $key): self
    {
        return new self($this->map($key));
    }

    /** @return array<array-key, mixed> an object of which nothing is known, or a list */
    public function map(string $key): array
    {
        return is_array($value = $this->value($key)) ? $value : throw self::wrong($key, 'an object or a list');
    }

    /** @return list<self> */
    public function objects(string $key): array
    {
        return array_map(
            static fn (mixed $one): self => is_array($one) ? new self($one) : throw self::wrong($key, 'of objects'),
            $this->items($key),
        );
    }

    /** @return list<string> */
    public function strings(string $key): array
    {
        return array_map(
            static fn (mixed $one): string => is_string($one) ? $one : throw self::wrong($key, 'of strings'),
            $this->items($key),
        );
    }

    /** @return list<float> exactly so many numbers */
    public function floats(string $key, int $count): array
    {
        return self::numbers($key, $this->items($key), $count);
    }

    /** @return list<list<float>> exactly so many points */
    public function points(string $key, int $count): array
    {
        $points = $this->items($key);
        if (count($points) !== $count) {
            throw self::wrong($key, "of {$count} points");
        }
        return array_map(static fn (mixed $point): array => self::numbers($key, $point, 2), $points);
    }

    /** @return array<array-key, mixed> everything, the envelope left out */
    public function fields(): array
    {
        return array_diff_key($this->fields, ['ok' => true, 'seq' => true]);
    }

    private function value(string $key): mixed
    {
        return $this->fields[$key] ?? throw Garbled::because("its answer has no `{$key}`");
    }

    /** @return list<mixed> */
    private function items(string $key): array
    {
        $value = $this->value($key);
        return is_array($value) && array_is_list($value) ? $value : throw self::wrong($key, 'a list');
    }

    /** @return list<float> */
    private static function numbers(string $key, mixed $values, int $count): array
    {
        if (!is_array($values) || !array_is_list($values) || count($values) !== $count) {
            throw self::wrong($key, "of {$count} numbers");
        }
        return array_map(static fn (mixed $value): float => self::number($key, $value), $values);
    }

    private static function number(string $key, mixed $value): float
    {
        return is_int($value) || is_float($value) ? (float) $value : throw self::wrong($key, 'a number');
    }

    private static function wrong(string $key, string $expected): Garbled
    {
        return Garbled::because("`{$key}` of its answer is not {$expected}");
    }
}
