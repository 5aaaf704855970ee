<?php

/**
 * An answer: status, headers, body. Immutable; knows nothing of who asked.
 */

declare(strict_types=1);

namespace FaceWeb\Http;

final class Response
{
    /** @param array<string, string> $headers */
    public function __construct(
        public readonly int $status,
        public readonly array $headers,
        public readonly string $body,
        public readonly ?string $formAction = null,
    ) {
    }

    public static function html(string $body, int $status = 200): self
    {
        return new self($status, ['Content-Type' => 'text/html; charset=utf-8'], $body);
    }

    /** @param array<string, mixed> $data */
    public static function json(array $data, int $status = 200): self
    {
        $body = json_encode($data, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE);
        return new self($status, ['Content-Type' => 'application/json; charset=utf-8'], $body);
    }

    public static function text(string $body, int $status = 200): self
    {
        return new self($status, ['Content-Type' => 'text/plain; charset=utf-8'], $body);
    }

    /** 303: whatever was posted, the browser asks for the next page by GET. */
    public static function redirect(string $location): self
    {
        return new self(303, ['Location' => $location], '');
    }

    public static function file(string $body, string $type): self
    {
        return new self(200, ['Content-Type' => $type], $body);
    }

    public function with(string $name, string $value): self
    {
        return new self($this->status, [...$this->headers, $name => $value], $this->body, $this->formAction);
    }

    /** An origin that the page's forms may be led on to: browsers check the redirects after a POST as well. */
    public function allowingForms(string $origin): self
    {
        return new self($this->status, $this->headers, $this->body, $origin === '' ? null : $origin);
    }

    public function withoutBody(): self
    {
        return new self($this->status, $this->headers, '', $this->formAction);
    }

    public function send(): void
    {
        http_response_code($this->status);
        foreach ($this->headers as $name => $value) {
            header("$name: $value");
        }
        echo $this->body;
    }
}
