<?php

/**
 * One file of a multipart request. Its name and type, which the sender chose, are not kept.
 */

declare(strict_types=1);

namespace FaceWeb\Http;

final class Upload
{
    private function __construct(
        public readonly int $size,
        private readonly ?string $path,
        private readonly string $bytes = '',
        public readonly int $error = UPLOAD_ERR_OK,
    ) {
    }

    public static function received(string $path, int $size, int $error): self
    {
        return new self($size, $path, '', $error);
    }

    public static function ofBytes(string $bytes): self
    {
        return new self(strlen($bytes), null, $bytes);
    }

    /** Was left out, or did PHP cut it off at its own limit? */
    public function tooLarge(): bool
    {
        return in_array($this->error, [UPLOAD_ERR_INI_SIZE, UPLOAD_ERR_FORM_SIZE], true);
    }

    public function read(): string
    {
        if ($this->path === null) {
            return $this->bytes;
        }
        $bytes = $this->error === UPLOAD_ERR_OK && is_uploaded_file($this->path)
            ? file_get_contents($this->path)
            : false;
        return $bytes === false ? throw HttpError::badRequest('an upload did not arrive') : $bytes;
    }
}
