<?php

/**
 * What the site reads of config.ini, and the rules that join options: an address that is one, and no face alone as the
 * key to accounts that others reach unless the operator says so. Values are passed down; there is no global.
 */

declare(strict_types=1);

namespace FaceWeb;

final class Config
{
    public const ENVIRONMENT_VARIABLE = 'FACE_LOGIN_CONFIG';

    private function __construct(
        public readonly string $path,
        public readonly WebOptions $web,
        public readonly DatabaseOptions $database,
        public readonly ServerOptions $server,
        public readonly AccessOptions $access,
        public readonly bool $keepCrops,
        public readonly bool $mayFlash,
    ) {
    }

    /** The file that FACE_LOGIN_CONFIG names, else the repository's config.ini. */
    public static function fromEnvironment(): self
    {
        $named = getenv(self::ENVIRONMENT_VARIABLE);
        return self::load(is_string($named) && $named !== '' ? $named : dirname(__DIR__, 2) . '/config.ini');
    }

    /** @throws ConfigError that names section, option and remedy */
    public static function load(string $path): self
    {
        $values = OptionTable::load()->values($path);
        $proxies = explode(',', (string) $values['web']['trusted_proxies']);
        $values['web']['trusted_proxies'] = array_values(array_filter(array_map(trim(...), $proxies), strlen(...)));
        $server = array_intersect_key(self::named($values['server']), get_class_vars(ServerOptions::class));
        $config = new self(
            $path,
            new WebOptions(...self::named($values['web'])),
            new DatabaseOptions(...self::named($values['database'])),
            new ServerOptions(...$server),
            new AccessOptions(...self::named($values['access'])),
            $values['gallery']['keep_crops'],
            $values['liveness']['flash'] && in_array($values['web']['liveness'], ['active', 'both'], true),
        );
        $config->check();
        return $config;
    }

    /**
     * @param array<string, mixed> $values
     * @return array<string, mixed> base_url -> baseUrl
     */
    private static function named(array $values): array
    {
        $names = array_map(
            static fn (string $name): string => lcfirst(str_replace('_', '', ucwords($name, '_'))),
            array_keys($values),
        );
        return array_combine($names, $values);
    }

    /** @return list<string> what is allowed and should be known of */
    public function warnings(): array
    {
        $web = $this->web;
        $reached = !$web->isLoopback();
        $face = $reached && $web->loginMode === Login::FACE;
        return array_keys(array_filter([
            'a face alone opens accounts here, and a photograph of one may do; see the README'
                => $face && $web->liveness === Liveness::OFF,
            'a face alone opens accounts here, and a mask, or a recording that happens to fit, may do; see the README'
                => $face && $web->liveness !== Liveness::OFF,
            'anybody may register, also with a photograph of somebody else, whom the camera then takes for them; '
                . 'consider [web] registration = invite' => $face && $web->registration === 'open',
            'base_url is http, so passwords and sessions can be read on the way; browsers give no camera there'
                => $reached && !$web->isHttps(),
            'base_url is https and trusted_proxies is empty: if a proxy stands in front, all visitors are one source, '
                . 'and five wrong faces of one lock them all' => $web->isHttps() && $web->trustedProxies === [],
        ]));
    }

    private function check(): void
    {
        $web = $this->web;
        if (!Loopback::holds($web->host)) {
            throw $this->refused('host', $web->host, 'must be loopback, such as 127.0.0.1: PHP\'s built-in server is '
                . 'not for other machines; put a reverse proxy with https before it');
        }
        $this->checkBaseUrl($web->baseUrl);
        if ($web->loginMode === 'face' && !$web->isLoopback() && !$web->faceOnlyAccepted) {
            throw $this->refused('login_mode', 'face', 'a face alone would open accounts at ' . $web->baseUrl
                . '; choose email_face or face_then_password, or read the README and set face_only_accepted = true');
        }
        if ($web->burstFrames > $this->server->maxImages) {
            throw $this->refused('burst_frames', (string) $web->burstFrames, 'must not exceed [server] max_images');
        }
        if ($web->sessionIdleS > $web->sessionAbsoluteS) {
            throw $this->refused('session_idle_s', (string) $web->sessionIdleS, 'must not exceed session_absolute_s');
        }
        foreach ($web->trustedProxies as $proxy) {
            $this->checkProxy($proxy);
        }
    }

    private function checkBaseUrl(string $url): void
    {
        $name = '[a-z0-9]([a-z0-9.-]*[a-z0-9])?';
        if (preg_match("~^https?://({$name}|\\[[0-9a-f:.]+\\])(:([1-9][0-9]{0,4}))?$~D", $url, $found) !== 1) {
            throw $this->refused('base_url', $url, 'must be http:// or https://, a host in lower case and perhaps '
                . ':port, with nothing behind, such as https://login.example.org');
        }
        if (str_starts_with($found[1], '[') && filter_var(trim($found[1], '[]'), FILTER_VALIDATE_IP) === false) {
            throw $this->refused('base_url', $url, 'the address in brackets must be an IPv6 address');
        }
        $port = (int) ($found[4] ?? 0);
        if ($port > 65535 || $port === (str_starts_with($url, 'https') ? 443 : 80)) {
            throw $this->refused('base_url', $url, 'leave out the default port; another lies between 1 and 65535');
        }
    }

    private function checkProxy(string $proxy): void
    {
        [$address, $bits] = explode('/', $proxy, 2) + [1 => '0'];
        $packed = filter_var($address, FILTER_VALIDATE_IP) === false ? false : inet_pton($address);
        if ($packed === false || preg_match('/^[0-9]{1,3}$/D', $bits) !== 1 || (int) $bits > 8 * strlen($packed)) {
            throw $this->refused('trusted_proxies', $proxy, 'must be an address or a network such as 10.0.0.0/8');
        }
    }

    private function refused(string $name, string $raw, string $remedy): ConfigError
    {
        return ConfigError::option($this->path, 'web', $name, $raw, $remedy);
    }
}
