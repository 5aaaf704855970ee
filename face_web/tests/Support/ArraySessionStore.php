<?php

/** Sessions in memory: one store is what the server keeps of all browsers, `use()` says which browser asks. */

declare(strict_types=1);

namespace FaceWeb\Tests\Support;

use FaceWeb\Http\SessionStore;

final class ArraySessionStore implements SessionStore
{
    /** @var array<string, array<string, mixed>> */
    public array $sessions = [];
    private string $id = '';

    /** The browser's cookie; an id that the server did not make begins a session of another id (strict mode). */
    public function use(string $id): void
    {
        $this->id = isset($this->sessions[$id]) ? $id : $this->fresh([]);
    }

    public function id(): string
    {
        $this->id === '' && $this->use('');
        return $this->id;
    }

    public function read(string $key): mixed
    {
        return $this->sessions[$this->id()][$key] ?? null;
    }

    public function write(string $key, mixed $value): void
    {
        $this->sessions[$this->id()][$key] = $value;
    }

    public function delete(string $key): void
    {
        unset($this->sessions[$this->id()][$key]);
    }

    public function regenerate(): void
    {
        $values = $this->sessions[$this->id()];
        unset($this->sessions[$this->id]);
        $this->id = $this->fresh($values);
    }

    public function clear(): void
    {
        $this->sessions[$this->id()] = [];
        $this->regenerate();
    }

    public function release(): void
    {
    }

    /** @param array<string, mixed> $values */
    private function fresh(array $values): string
    {
        $id = bin2hex(random_bytes(16));
        $this->sessions[$id] = $values;
        return $id;
    }
}
