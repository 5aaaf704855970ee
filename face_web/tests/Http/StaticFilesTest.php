<?php

declare(strict_types=1);

namespace FaceWeb\Tests\Http;

use FaceWeb\Http\StaticFiles;
use PHPUnit\Framework\TestCase;

final class StaticFilesTest extends TestCase
{
    private string $directory;
    private StaticFiles $files;

    protected function setUp(): void
    {
        $this->directory = sys_get_temp_dir() . '/static-' . bin2hex(random_bytes(8));
        mkdir("$this->directory/public/vendor", 0700, true);
        $names = ['public/a.css', 'public/index.php', 'public/vendor/m.bin', 'public/.hidden.css', 'secret.css'];
        foreach ($names as $name) {
            file_put_contents("$this->directory/$name", $name);
        }
        symlink("$this->directory/secret.css", "$this->directory/public/link.css");
        $this->files = new StaticFiles("$this->directory/public");
    }

    protected function tearDown(): void
    {
        exec('rm -r ' . escapeshellarg($this->directory));
    }

    public function testAFileIsSentWithItsTypeAndNotTwice(): void
    {
        $answer = $this->files->answer('GET', '/a.css?v=1', '');
        self::assertSame('public/a.css', $answer?->body);
        self::assertSame('text/css; charset=utf-8', $answer->headers['Content-Type']);
        self::assertSame(304, $this->files->answer('GET', '/a.css', $answer->headers['ETag'])?->status);
        self::assertSame('', $this->files->answer('HEAD', '/a.css', '')?->body);
        self::assertSame(200, $this->files->answer('GET', '/vendor/m.bin', '')?->status);
    }

    /** @dataProvider others */
    public function testNothingElseIs(string $method, string $uri): void
    {
        self::assertNull($this->files->answer($method, $uri, ''));
    }

    /** @return list<array{string, string}> */
    public function others(): array
    {
        return [['POST', '/a.css'], ['GET', '/index.php'], ['GET', '/.hidden.css'], ['GET', '/link.css'],
            ['GET', '/../secret.css'], ['GET', '/vendor/../../secret.css'], ['GET', '/%2e%2e/secret.css'],
            ['GET', '/vendor/../a.css'], ['GET', '//a.css'], ['GET', "/a.css\0.php"], ['GET', '/'], ['GET', '/vendor'],
            ['GET', '/nothing.css'], ['GET', "/a.css\n"]];
    }
}
