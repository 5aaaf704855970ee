<?php

/**
 * A request as it arrived, sizes checked. The only place that reads PHP's superglobals. Values of the form and the
 * query are strings or nothing: what PHP turned into arrays is dropped. Knows no session.
 */

declare(strict_types=1);

namespace FaceWeb\Http;

final class Request
{
    public const MAX_POST_BYTES = 16 * 1024 * 1024;
    private const MAX_JSON_BYTES = 64 * 1024;

    /**
     * @param array<string, string> $query
     * @param array<string, string> $form
     * @param array<string, list<Upload>> $files
     * @param array<string, string> $headers names in lower case
     */
    public function __construct(
        public readonly string $method,
        public readonly string $path,
        public readonly array $query = [],
        public readonly array $form = [],
        public readonly array $files = [],
        public readonly array $headers = [],
        public readonly string $remoteAddress = '127.0.0.1',
        private readonly ?string $body = null,
    ) {
    }

    public static function fromGlobals(): self
    {
        $headers = self::withoutUnderscores(self::headersOf($_SERVER));
        if ((int) ($headers['content-length'] ?? 0) > self::MAX_POST_BYTES) {
            throw HttpError::tooLarge();
        }
        return new self(
            strtoupper((string) ($_SERVER['REQUEST_METHOD'] ?? 'GET')),
            self::pathOf((string) ($_SERVER['REQUEST_URI'] ?? '/')),
            self::strings($_GET),
            self::strings($_POST),
            array_map(self::uploads(...), self::named($_FILES)),
            $headers,
            (string) ($_SERVER['REMOTE_ADDR'] ?? ''),
        );
    }

    public function header(string $name): ?string
    {
        return $this->headers[strtolower($name)] ?? null;
    }

    public function field(string $name): string
    {
        return $this->form[$name] ?? '';
    }

    /** @return list<Upload> */
    public function uploadsOf(string $name): array
    {
        return $this->files[$name] ?? [];
    }

    public function body(int $limit): string
    {
        $body = $this->body ?? (string) file_get_contents('php://input', false, null, 0, $limit + 1);
        return strlen($body) > $limit ? throw HttpError::tooLarge() : $body;
    }

    /** @return array<string, mixed> what a JSON body says, or the form where there is one */
    public function data(): array
    {
        if (!str_starts_with($this->header('content-type') ?? '', 'application/json')) {
            return $this->form;
        }
        $data = json_decode($this->body(self::MAX_JSON_BYTES), true, 8);
        return is_array($data) ? $data : throw HttpError::badRequest('the body is no JSON object');
    }

    public function isPost(): bool
    {
        return $this->method === 'POST';
    }

    public function wantsJson(): bool
    {
        return str_contains($this->header('accept') ?? '', 'application/json')
            || str_starts_with($this->header('content-type') ?? '', 'application/json');
    }

    private static function pathOf(string $uri): string
    {
        $path = explode('?', $uri, 2)[0];
        return str_starts_with($path, '/') ? $path : '/';
    }

    /**
     * @param array<array-key, mixed> $server
     * @return array<string, string>
     */
    private static function headersOf(array $server): array
    {
        $headers = [];
        foreach ($server as $name => $value) {
            if (is_string($value) && preg_match('/\A(?:HTTP_)?([A-Z_]+)\z/', (string) $name, $found) === 1) {
                $isHeader = str_starts_with((string) $name, 'HTTP_')
                    || in_array($name, ['CONTENT_TYPE', 'CONTENT_LENGTH'], true);
                $headers += $isHeader ? [strtolower(strtr($found[1], '_', '-')) => $value] : [];
            }
        }
        return $headers;
    }

    /**
     * `php -S` reads `X_Forwarded_For` as X-Forwarded-For, so that a visitor could write over what the proxy says.
     *
     * @param array<string, string> $headers
     * @return array<string, string>
     */
    private static function withoutUnderscores(array $headers): array
    {
        if (PHP_SAPI !== 'cli-server') {
            return $headers; // nginx and Apache drop such names
        }
        $isPlain = static fn (string|int $name): bool => !str_contains((string) $name, '_');
        return array_change_key_case(array_filter(getallheaders(), $isPlain, ARRAY_FILTER_USE_KEY));
    }

    /**
     * @param array<array-key, mixed> $values
     * @return array<string, string>
     */
    private static function strings(array $values): array
    {
        return array_filter(self::named($values), is_string(...));
    }

    /**
     * @param array<array-key, mixed> $values
     * @return array<string, mixed>
     */
    private static function named(array $values): array
    {
        return array_filter($values, is_string(...), ARRAY_FILTER_USE_KEY);
    }

    /**
     * @param array{tmp_name: mixed, size: mixed, error: mixed} $file one entry of $_FILES
     * @return list<Upload>
     */
    private static function uploads(array $file): array
    {
        $uploads = array_map(
            static fn (mixed $path, mixed $size, mixed $error): ?Upload =>
                is_string($path) && $error !== UPLOAD_ERR_NO_FILE
                    ? Upload::received($path, (int) $size, (int) $error)
                    : null,
            (array) $file['tmp_name'],
            (array) $file['size'],
            (array) $file['error'],
        );
        return array_values(array_filter($uploads));
    }
}
