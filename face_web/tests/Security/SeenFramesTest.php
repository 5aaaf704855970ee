<?php

declare(strict_types=1);

namespace FaceWeb\Tests\Security;

use FaceWeb\Security\SeenFrames;
use FaceWeb\Tests\Database\FreshDatabases;
use PHPUnit\Framework\TestCase;

final class SeenFramesTest extends TestCase
{
    use FreshDatabases;

    /** @dataProvider engines */
    public function testABurstOfFreshAndDifferentFramesIsTakenOnce(string $engine): void
    {
        $seen = new SeenFrames($this->database($engine), $this->clock);
        self::assertTrue($seen->claim(['a', 'b', "c\0\xff"]));
        self::assertFalse($seen->claim(['a', 'b', "c\0\xff"]));
        self::assertTrue($seen->claim(['d', 'e']));
    }

    /** @dataProvider engines */
    public function testOneFrameThatWasSeenSpoilsTheBurst(string $engine): void
    {
        $seen = new SeenFrames($this->database($engine), $this->clock);
        self::assertTrue($seen->claim(['a', 'b']));
        self::assertFalse($seen->claim(['x', 'b']));
        self::assertFalse($seen->claim(['x', 'y']), 'the frames of a refused burst are remembered too');
    }

    public function testTwoIdenticalFramesInABurstAreRefused(): void
    {
        $seen = new SeenFrames($this->database('sqlite'), $this->clock);
        self::assertFalse($seen->claim(['a', 'b', 'a']));
    }

    public function testNoFramesAreNotTaken(): void
    {
        $seen = new SeenFrames($this->database('sqlite'), $this->clock);
        self::assertFalse($seen->claim([]));
    }

    public function testFramesAreRememberedForADayAndThenForgotten(): void
    {
        $database = $this->database('sqlite');
        $seen = new SeenFrames($database, $this->clock);
        $seen->claim(['a', 'b']);
        $this->clock->advance(86399);
        self::assertFalse($seen->claim(['a']));
        $this->clock->advance(1);
        self::assertTrue($seen->claim(['a']));
        self::assertCount(1, $database->rows('SELECT * FROM seen_frame'));
    }

    /** @dataProvider engines */
    public function testOfManyRequestsAtTheSameTimeOneClaimsTheFrames(string $engine): void
    {
        $this->database($engine);
        $won = $this->together(8, ['do' => 'claim', 'frames' => ['a', 'b', 'c', 'd', 'e']]);
        self::assertCount(1, array_filter($won));
    }
}
