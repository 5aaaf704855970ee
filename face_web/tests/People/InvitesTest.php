<?php

declare(strict_types=1);

namespace FaceWeb\Tests\People;

use FaceWeb\People\Invites;
use FaceWeb\Tests\Database\FreshDatabases;
use PHPUnit\Framework\TestCase;

final class InvitesTest extends TestCase
{
    use FreshDatabases;

    /** @dataProvider engines */
    public function testAnInviteIsGoodOnceWithinItsTime(string $engine): void
    {
        $database = $this->database($engine);
        $invites = new Invites($database, $this->clock);
        [$used, $late] = [$invites->create(1, 60), $invites->create(null, 60)];
        self::assertStringNotContainsString($used, json_encode($database->rows('SELECT * FROM invite')));
        self::assertTrue($invites->isUsable($used));
        self::assertTrue($invites->use(' ' . strtoupper($used)));
        self::assertFalse($invites->use($used));
        self::assertFalse($invites->isUsable($used));
        self::assertFalse($invites->use(''));
        $this->clock->advance(60);
        self::assertFalse($invites->isUsable($late));
        self::assertFalse($invites->use($late));
    }

    /** @dataProvider engines */
    public function testOfManyRequestsAtTheSameTimeOneUsesTheInvite(string $engine): void
    {
        $this->database($engine);
        $code = (new Invites($this->reopened(), $this->clock))->create(null, 60);
        self::assertCount(1, array_filter($this->together(8, ['do' => 'invite', 'code' => $code])));
    }
}
