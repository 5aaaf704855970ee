<?php

/**
 * Where the parts of the site are wired together, each made once and only when it is asked for. No part knows this
 * class but the pages and the console.
 */

declare(strict_types=1);

namespace FaceWeb;

use FaceWeb\Audit\AuditLog;
use FaceWeb\Exchange\Clients;
use FaceWeb\Exchange\ClientCommands;
use FaceWeb\Exchange\Codes;
use FaceWeb\Exchange\Endpoint;
use FaceWeb\Exchange\Handover;
use FaceWeb\Exchange\PairwiseSubjects;
use FaceWeb\FaceServer\FaceServer;
use FaceWeb\FaceServer\SocketFaceServer;
use FaceWeb\Http\PhpSessionStore;
use FaceWeb\Http\SessionStore;
use FaceWeb\Page\Exchange;
use FaceWeb\People\Invites;
use FaceWeb\People\People;
use FaceWeb\Security\Clock;
use FaceWeb\Security\Nonces;
use FaceWeb\Security\Passwords;
use FaceWeb\Security\SeenFrames;
use FaceWeb\Security\Sources;
use FaceWeb\Security\SystemClock;
use FaceWeb\Security\Throttle;

final class Services
{
    /** @var array<string, object> */
    private array $made = [];
    private string $requestId = '';
    /** @var \Closure(int): void waits for so many milliseconds */
    public readonly \Closure $pause;

    /** @param (\Closure(int): void)|null $pause */
    public function __construct(
        public readonly Config $config,
        public readonly Clock $clock,
        private readonly SessionStore $sessions,
        ?Database $database = null,
        ?FaceServer $faceServer = null,
        ?\Closure $pause = null,
    ) {
        $this->made = array_filter([Database::class => $database, FaceServer::class => $faceServer]);
        $this->pause = $pause ?? static function (int $milliseconds): void {
            usleep(1000 * $milliseconds);
        };
    }

    public static function of(Config $config): self
    {
        $web = $config->web;
        $sessions = new PhpSessionStore($web->sessionPath, $web->sessionIdleS, $web->isHttps());
        return new self($config, new SystemClock(), $sessions);
    }

    /** What is asked and logged from now on is on behalf of this request. */
    public function about(string $requestId): void
    {
        $this->requestId = $requestId;
        Log::about($requestId);
    }

    /** Empty on the console. */
    public function requestId(): string
    {
        return $this->requestId;
    }

    /** @param class-string $class */
    public function page(string $class): object
    {
        return $class === Exchange::class ? new Exchange($this->exchange(), $this->sources()) : new $class($this);
    }

    public function session(): Session
    {
        $web = $this->config->web;
        return $this->once(Session::class, fn () => new Session(
            $this->sessions,
            $this->clock,
            $web->sessionIdleS,
            $web->sessionAbsoluteS,
        ));
    }

    public function database(): Database
    {
        return $this->once(Database::class, fn () => Database::open($this->config->database));
    }

    public function faceServer(): FaceServer
    {
        return $this->once(FaceServer::class, fn () => SocketFaceServer::forSite(
            $this->config,
            $this->requestId,
        ));
    }

    /** The daemon at the operator's level, where this process may read that token; null where it may not. */
    public function operator(): ?SocketFaceServer
    {
        return SocketFaceServer::forOperator($this->config, $this->requestId);
    }

    public function people(): People
    {
        return $this->once(People::class, fn () => new People($this->database(), $this->clock));
    }

    public function invites(): Invites
    {
        return $this->once(Invites::class, fn () => new Invites($this->database(), $this->clock));
    }

    public function throttle(): Throttle
    {
        return $this->once(Throttle::class, fn () => new Throttle($this->database(), $this->clock));
    }

    public function nonces(): Nonces
    {
        return $this->once(Nonces::class, fn () => new Nonces($this->database(), $this->clock));
    }

    public function seenFrames(): SeenFrames
    {
        return $this->once(SeenFrames::class, fn () => new SeenFrames($this->database(), $this->clock));
    }

    public function passwords(): Passwords
    {
        return $this->once(Passwords::class, fn () => new Passwords());
    }

    public function sources(): Sources
    {
        return $this->once(Sources::class, fn () => new Sources($this->config->web->trustedProxies));
    }

    public function audit(): AuditLog
    {
        $web = $this->config->web;
        return $this->once(AuditLog::class, fn () => new AuditLog(
            $this->database(),
            $this->clock,
            $web->auditKeyFile,
            $web->auditHeadFile,
        ));
    }

    public function login(): Login
    {
        return $this->once(Login::class, fn () => new Login(
            $this->people(),
            $this->faceServer(),
            $this->throttle(),
            $this->passwords(),
            $this->audit(),
            $this->config->web->loginMode,
            $this->liveness()->isOn(),
            $this->pause,
        ));
    }

    public function liveness(): Liveness
    {
        $web = $this->config->web;
        return $this->once(Liveness::class, fn () => new Liveness(
            $this->faceServer(),
            $this->session(),
            $this->clock,
            $web->liveness,
            $web->loginMode,
        ));
    }

    public function registration(): Registration
    {
        return $this->once(Registration::class, fn () => new Registration(
            $this->database(),
            $this->people(),
            $this->faceServer(),
            $this->invites(),
            $this->reconciliation(),
            $this->audit(),
        ));
    }

    public function account(): Account
    {
        return $this->once(Account::class, fn () => new Account(
            $this->database(),
            $this->people(),
            $this->faceServer(),
            $this->reconciliation(),
            $this->passwords(),
            $this->throttle(),
            $this->audit(),
        ));
    }

    public function reconciliation(): Reconciliation
    {
        return $this->once(Reconciliation::class, fn () => new Reconciliation(
            $this->people(),
            $this->faceServer(),
            $this->audit(),
            $this->clock,
        ));
    }

    public function clients(): Clients
    {
        return $this->once(Clients::class, fn () => new Clients($this->database(), $this->clock));
    }

    public function clientCommands(): ClientCommands
    {
        return $this->once(ClientCommands::class, fn () => new ClientCommands($this->clients(), $this->audit()));
    }

    public function handover(): Handover
    {
        return $this->once(Handover::class, fn () => new Handover(
            $this->clients(),
            $this->codes(),
            $this->clock,
            $this->config->web->freshLoginS,
        ));
    }

    public function exchange(): Endpoint
    {
        return $this->once(Endpoint::class, fn () => new Endpoint(
            $this->clients(),
            $this->codes(),
            $this->throttle(),
            $this->audit(),
        ));
    }

    private function codes(): Codes
    {
        return $this->once(Codes::class, fn () => new Codes(
            $this->database(),
            $this->clock,
            $this->people(),
            new PairwiseSubjects($this->database()),
            $this->audit(),
        ));
    }

    /**
     * @template T of object
     * @param class-string<T> $name
     * @param \Closure(): T $make
     * @return T
     */
    private function once(string $name, \Closure $make): object
    {
        return $this->made[$name] ??= $make();
    }
}
