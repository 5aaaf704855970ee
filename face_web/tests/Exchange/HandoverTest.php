<?php

declare(strict_types=1);

namespace FaceWeb\Tests\Exchange;

use FaceWeb\Exchange\Handover;
use FaceWeb\Exchange\RequestRefused;
use FaceWeb\Http\SessionStore;
use FaceWeb\Session;

final class HandoverTest extends ExchangeCase
{
    private const FRESH_S = 300;

    private Handover $handover;
    private Session $session;

    protected function setUp(): void
    {
        parent::setUp();
        $this->handover = new Handover($this->clients, $this->codes, $this->clock, self::FRESH_S);
        $this->session = new Session($this->store(), $this->clock, 900, 28800);
        $this->session->touch();
    }

    public function testALoginIsCarriedBackWithCodeAndState(): void
    {
        $this->handover->begin($this->session, $this->query());
        $this->session->logIn($this->person, ['face']);
        $location = (string) $this->finish();
        [$address, $query] = explode('?', $location);
        parse_str($query, $answer);
        self::assertSame(self::RETURN_TO, $address);
        self::assertSame(['code', 'state'], array_keys($answer));
        self::assertSame(self::STATE, $answer['state']);
        $identity = $this->codes->exchange($this->client(), $answer['code'], self::RETURN_TO, self::SOURCE);
        self::assertSame(['face'], $identity->amr);
        self::assertSame($this->clock->now(), $identity->authTime);
        self::assertNull($this->finish(), 'once only');
    }

    public function testWithoutARequestALoginIsOurOwnBusiness(): void
    {
        self::assertFalse(Handover::asked([]));
        self::assertFalse(Handover::asked(['lang' => 'en', 'state' => 'x']));
        self::assertNull($this->handover->pending($this->session));
        self::assertSame('', $this->handover->formAction($this->session));
        self::assertNull($this->finish());
        self::assertSame([], $this->events());
    }

    public function testEvenAMalformedRequestOfASiteIsSeenAsOne(): void
    {
        foreach (['client', 'client_id', 'return_to', 'redirect_uri', 'response_type'] as $name) {
            self::assertTrue(Handover::asked([$name => '']));
        }
    }

    public function testThePageCanNameTheSiteAndItsOrigin(): void
    {
        $this->handover->begin($this->session, $this->query());
        $pending = $this->handover->pending($this->session);
        self::assertSame(['Shop', 'shop.example'], [$pending->name, $pending->host]);
        self::assertSame('https://shop.example', $this->handover->formAction($this->session));
    }

    public function testARefusedRequestEndsTheOneThatWaited(): void
    {
        $this->handover->begin($this->session, $this->query());
        try {
            $this->handover->begin($this->session, ['return_to' => 'https://evil.example/'] + $this->query());
            self::fail('it was accepted');
        } catch (RequestRefused) {
            self::assertNull($this->finish());
        }
    }

    public function testTheVisitorMayGiveItUp(): void
    {
        $this->handover->begin($this->session, $this->query());
        $this->handover->begin($this->session, ['client' => '']);
        self::assertNull($this->finish());
    }

    public function testARequestDoesNotWaitForEver(): void
    {
        $this->handover->begin($this->session, $this->query());
        $this->clock->advance(Handover::WAITS_S + 1);
        self::assertNull($this->handover->pending($this->session));
        self::assertNull($this->finish());
    }

    public function testAClientRemovedMeanwhileIsNotServed(): void
    {
        $this->handover->begin($this->session, $this->query());
        $this->clients->remove($this->new->id);
        self::assertNull($this->handover->pending($this->session));
        self::assertNull($this->finish());
    }

    public function testAFreshLoginIsResumedAndAnOlderOneIsAskedAgain(): void
    {
        $this->session->logIn($this->person, ['pwd']);
        $this->clock->advance(self::FRESH_S);
        $this->handover->begin($this->session, $this->query());
        self::assertNull($this->handover->resume($this->session, $this->person, self::SOURCE));
        self::assertNotNull($this->handover->pending($this->session), 'it goes on waiting');
        $this->session->logIn($this->person, ['face']);
        $this->clock->advance(self::FRESH_S - 1);
        $location = (string) $this->handover->resume($this->session, $this->person, self::SOURCE);
        self::assertStringStartsWith(self::RETURN_TO . '?code=', $location);
        self::assertNull($this->handover->pending($this->session));
    }

    public function testNobodyIsResumedWhoIsNotSignedIn(): void
    {
        $this->handover->begin($this->session, $this->query());
        self::assertNull($this->handover->resume($this->session, $this->person, self::SOURCE));
        $this->session->logIn($this->register('bert@example.org'), ['pwd']);
        self::assertNull($this->handover->resume($this->session, $this->person, self::SOURCE));
    }

    private function finish(): ?string
    {
        return $this->handover->finish($this->session, $this->person, ['face'], $this->clock->now(), self::SOURCE);
    }

    private function store(): SessionStore
    {
        return new class implements SessionStore {
            /** @var array<string, mixed> */
            private array $values = [];
            private int $id = 0;

            public function id(): string
            {
                return (string) $this->id;
            }

            public function read(string $key): mixed
            {
                return $this->values[$key] ?? null;
            }

            public function write(string $key, mixed $value): void
            {
                $this->values[$key] = $value;
            }

            public function delete(string $key): void
            {
                unset($this->values[$key]);
            }

            public function regenerate(): void
            {
                $this->id++;
            }

            public function clear(): void
            {
                $this->values = [];
                $this->regenerate();
            }

            public function release(): void
            {
            }
        };
    }
}
