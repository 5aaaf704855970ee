<?php

/**
 * PHP's own file sessions, with every setting that matters set here and not left to a php.ini. Begins with the first
 * use.
 */

declare(strict_types=1);

namespace FaceWeb\Http;

final class PhpSessionStore implements SessionStore
{
    private bool $begun = false;

    /** @param int $lifetimeS files that no request has touched for so long are cleared away */
    public function __construct(
        private readonly string $directory,
        private readonly int $lifetimeS,
        private readonly bool $https,
    ) {
    }

    public function id(): string
    {
        $this->begin();
        return (string) session_id();
    }

    public function read(string $key): mixed
    {
        $this->begin();
        return $_SESSION[$key] ?? null;
    }

    public function write(string $key, mixed $value): void
    {
        $this->begin();
        $_SESSION[$key] = $value;
    }

    public function delete(string $key): void
    {
        $this->begin();
        unset($_SESSION[$key]);
    }

    public function regenerate(): void
    {
        $this->begin();
        session_regenerate_id(true) || throw new \RuntimeException('the session could not get a new id');
    }

    public function clear(): void
    {
        $this->begin();
        $_SESSION = [];
        $this->regenerate();
    }

    public function release(): void
    {
        if ($this->begun) {
            session_write_close();
        }
    }

    private function begin(): void
    {
        if ($this->begun) {
            return;
        }
        if (!is_dir($this->directory) && !@mkdir($this->directory, 0700, true) && !is_dir($this->directory)) {
            throw new \RuntimeException("the directory of the sessions cannot be made: $this->directory");
        }
        session_name($this->https ? '__Host-face_session' : 'face_session');
        $this->begun = session_start($this->settings()) ?: throw new \RuntimeException('the session did not begin');
    }

    /** @return array<string, string|int|bool> */
    private function settings(): array
    {
        return [
            'save_handler' => 'files',
            'save_path' => $this->directory,
            'use_strict_mode' => true,
            'use_cookies' => true,
            'use_only_cookies' => true,
            'use_trans_sid' => false,
            'cookie_lifetime' => 0,
            'cookie_path' => '/',
            'cookie_domain' => '',
            'cookie_httponly' => true,
            'cookie_secure' => $this->https,
            'cookie_samesite' => 'Lax',
            'sid_length' => 48,
            'sid_bits_per_character' => 5,
            'cache_limiter' => '',
            'gc_maxlifetime' => $this->lifetimeS,
            'gc_probability' => 1,
            'gc_divisor' => 100,
            'serialize_handler' => 'php_serialize',
        ];
    }
}
