<?php

/** A token comes out of its file as it can be sent, or not at all. */

declare(strict_types=1);

namespace FaceWeb\Tests\FaceServer;

use FaceWeb\FaceServer\TokenFile;
use FaceWeb\FaceServer\Unreachable;
use PHPUnit\Framework\TestCase;

final class TokenFileTest extends TestCase
{
    private string $path;

    protected function setUp(): void
    {
        $this->path = (string) tempnam(sys_get_temp_dir(), 'token');
    }

    protected function tearDown(): void
    {
        @unlink($this->path);
    }

    public function testTheTokenIsReadWithoutItsLineEnd(): void
    {
        file_put_contents($this->path, "s3cret\n");
        $token = new TokenFile($this->path);
        self::assertTrue($token->isReadable());
        self::assertSame('s3cret', $token->read());
    }

    public function testTheLongestTokenIsReadWhole(): void
    {
        file_put_contents($this->path, str_repeat('x', 256) . "\n");
        self::assertSame(256, strlen((new TokenFile($this->path))->read()));
    }

    public function testAFileThatComesLaterIsFound(): void
    {
        unlink($this->path);
        $token = new TokenFile($this->path);
        self::assertFalse($token->isReadable());
        file_put_contents($this->path, 's3cret');
        self::assertSame('s3cret', $token->read());
    }

    /** @return list<array{?string}> */
    public function noTokens(): array
    {
        return [[null], [''], ["\n"], ['two words'], ["two\nlines"], ["nul\0"], ['é'], [str_repeat('x', 257)]];
    }

    /** @dataProvider noTokens */
    public function testAFileWithoutATokenIsNamedWithWhatToDo(?string $text): void
    {
        $text === null ? unlink($this->path) : file_put_contents($this->path, $text);
        $this->expectException(Unreachable::class);
        $this->expectExceptionMessageMatches('/' . preg_quote($this->path, '/') . '.*start the daemon once/');
        (new TokenFile($this->path))->read();
    }
}
