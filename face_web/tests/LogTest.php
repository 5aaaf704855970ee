<?php

/** Lines of the site's log: whose request they are about, and that nobody else writes one. */

declare(strict_types=1);

namespace FaceWeb\Tests;

use FaceWeb\Log;
use PHPUnit\Framework\TestCase;

use function FaceWeb\error_log;

final class LogTest extends TestCase
{
    private string $file;
    private string $former;

    protected function setUp(): void
    {
        $this->file = (string) tempnam(sys_get_temp_dir(), 'log');
        $this->former = (string) ini_set('error_log', $this->file);
    }

    protected function tearDown(): void
    {
        Log::about('');
        ini_set('error_log', $this->former);
        unlink($this->file);
    }

    public function testALineBeginsWithTheIdOfItsRequestIfThereIsOne(): void
    {
        Log::about('abc.1-2_3');
        error_log('daemon: away');
        Log::about('');
        error_log('console: away');
        [$first, $second] = (array) file($this->file, FILE_IGNORE_NEW_LINES);
        self::assertStringEndsWith('] [abc.1-2_3] daemon: away', (string) $first);
        self::assertStringEndsWith('] console: away', (string) $second);
    }

    public function testNothingWithinALineBeginsAnotherOrReachesATerminal(): void
    {
        Log::about('abc');
        error_log("away\n[Thu Nov 26 12:00:00 2026] forged\r\x1b[2Jgone\0\x7f 漢字");
        [$line, $rest, $end] = explode("\n", (string) file_get_contents($this->file));
        self::assertStringEndsWith('away', $line);
        self::assertSame('    [Thu Nov 26 12:00:00 2026] forged\x0d\x1b[2Jgone\x00\x7f 漢字', $rest);
        self::assertSame('', $end);
    }

    /** The function of the namespace is found only from within it, or where it is imported. */
    public function testEveryLineOfTheSiteGoesThisWay(): void
    {
        $files = new \RecursiveIteratorIterator(new \RecursiveDirectoryIterator(__DIR__ . '/../src'));
        $seen = 0;
        foreach ($files as $file) {
            $code = (string) @file_get_contents((string) $file);
            if (basename((string) $file) === 'Log.php' || !str_contains($code, 'error_log(')) {
                continue;
            }
            $seen++;
            self::assertStringNotContainsString('\error_log(', $code, (string) $file);
            self::assertMatchesRegularExpression('/^(namespace FaceWeb|use function FaceWeb\\\\error_log);$/m', $code);
        }
        self::assertGreaterThan(5, $seen);
    }
}
