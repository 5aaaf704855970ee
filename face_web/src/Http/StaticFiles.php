<?php

/**
 * Files below public/ for `php -S`: only the kinds that stand here, never PHP, never through a link or a dot file.
 */

declare(strict_types=1);

namespace FaceWeb\Http;

final class StaticFiles
{
    private const TYPES = [
        'css' => 'text/css; charset=utf-8',
        'js' => 'text/javascript; charset=utf-8',
        'mjs' => 'text/javascript; charset=utf-8',
        'json' => 'application/json; charset=utf-8',
        'bin' => 'application/octet-stream',
        'wasm' => 'application/wasm',
        'svg' => 'image/svg+xml',
        'png' => 'image/png',
        'ico' => 'image/x-icon',
        'woff2' => 'font/woff2',
        'txt' => 'text/plain; charset=utf-8',
    ];

    public function __construct(private readonly string $directory)
    {
    }

    /** The file, a 304 where the browser has it, or null where the address names none. */
    public function answer(string $method, string $uri, string $ifNoneMatch): ?Response
    {
        $file = in_array($method, ['GET', 'HEAD'], true) ? $this->file(explode('?', $uri, 2)[0]) : null;
        if ($file === null) {
            return null;
        }
        $tag = '"' . dechex((int) filemtime($file)) . '-' . dechex((int) filesize($file)) . '"';
        $response = $ifNoneMatch === $tag
            ? new Response(304, [], '')
            : Response::file((string) file_get_contents($file), self::TYPES[pathinfo($file, PATHINFO_EXTENSION)]);
        $response = $response->with('ETag', $tag)->with('Cache-Control', 'no-cache');
        return $method === 'HEAD' ? $response->withoutBody() : $response;
    }

    private function file(string $path): ?string
    {
        $shape = '~\A(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)+\.(' . implode('|', array_keys(self::TYPES)) . ')\z~';
        if (preg_match($shape, $path) !== 1) {
            return null;
        }
        $wanted = realpath($this->directory) . $path;
        return realpath($wanted) === $wanted && is_file($wanted) ? $wanted : null;
    }
}
