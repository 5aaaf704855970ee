<?php

declare(strict_types=1);

namespace FaceWeb\Tests\Security;

use FaceWeb\Security\Nonces;
use FaceWeb\Tests\Database\FreshDatabases;
use PHPUnit\Framework\TestCase;

final class NoncesTest extends TestCase
{
    use FreshDatabases;

    /** @dataProvider engines */
    public function testANonceIsGoodOnce(string $engine): void
    {
        $nonces = new Nonces($this->database($engine), $this->clock);
        $nonce = $nonces->issue('session', 'login');
        self::assertMatchesRegularExpression('/^[0-9a-f]{32}$/', $nonce);
        self::assertTrue($nonces->consume($nonce, 'session', 'login'));
        self::assertFalse($nonces->consume($nonce, 'session', 'login'));
    }

    /** @dataProvider engines */
    public function testANonceOfAnotherSessionOrPurposeIsRefusedAndNotUsedUp(string $engine): void
    {
        $nonces = new Nonces($this->database($engine), $this->clock);
        $nonce = $nonces->issue('session', 'login');
        self::assertFalse($nonces->consume($nonce, 'other', 'login'));
        self::assertFalse($nonces->consume($nonce, 'session', 'register'));
        self::assertFalse($nonces->consume(strtoupper($nonce) . 'x', 'session', 'login'));
        self::assertFalse($nonces->consume('', 'session', 'login'));
        self::assertTrue($nonces->consume($nonce, 'session', 'login'));
    }

    /** @dataProvider engines */
    public function testANonceLivesSixtySeconds(string $engine): void
    {
        $nonces = new Nonces($this->database($engine), $this->clock);
        [$young, $old] = [$nonces->issue('s', 'login'), $nonces->issue('s', 'login')];
        $this->clock->advance(59);
        self::assertTrue($nonces->consume($young, 's', 'login'));
        $this->clock->advance(1);
        self::assertFalse($nonces->consume($old, 's', 'login'));
    }

    public function testANonceFromTheFutureIsRefused(): void
    {
        $nonces = new Nonces($this->database('sqlite'), $this->clock);
        $nonce = $nonces->issue('s', 'login');
        $this->clock->advance(-1);
        self::assertFalse($nonces->consume($nonce, 's', 'login'));
    }

    public function testTheDatabaseHasNeitherNonceNorSessionAndForgetsOldOnes(): void
    {
        $database = $this->database('sqlite');
        $nonces = new Nonces($database, $this->clock);
        $nonce = $nonces->issue('session', 'login');
        $rows = json_encode($database->rows('SELECT * FROM login_nonce'));
        self::assertStringNotContainsString($nonce, $rows);
        self::assertStringNotContainsString('session"', $rows);
        $this->clock->advance(61);
        $nonces->issue('session', 'login');
        self::assertCount(1, $database->rows('SELECT * FROM login_nonce'));
    }

    /** @dataProvider engines */
    public function testOfManyRequestsAtTheSameTimeOneConsumesTheNonce(string $engine): void
    {
        $nonces = new Nonces($this->database($engine), $this->clock);
        $nonce = $nonces->issue('session', 'login');
        $won = $this->together(8, ['do' => 'consume', 'nonce' => $nonce, 'session' => 'session']);
        self::assertCount(1, array_filter($won));
    }
}
