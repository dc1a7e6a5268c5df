/* The words of operations work: which mean the same, in English and Russian, and which go together.
 * A Russian question finds an English tool description through this table. */
#include "backend/knowledge/internal.h"
#include <stdlib.h>
#include <string.h>

struct idea {
    const char *same;    /* words for one idea */
    const char *related; /* words of things to look at when the idea is asked about, or NULL */
};

/* Words are given as written; what is compared are stems, so one form of each is enough, except
 * where the stemmer does not bring forms together. */
static const struct idea table[] = {
    {"alert alerts alerting firing fired alarm алерт алерты тревога тревоги оповещение сработал "
     "сработали "
     "сработало горят горит",
     "firing"},
    {"silence silenced silences muted заглушка заглушки заглушен заглушено заглушены", "alert"},
    {"target targets scrape scrapes scraping цель цели целей опрос опрашивает опрашиваются таргет "
     "таргеты",
     NULL},
    {"history trend change changed grew growth история менялась менялся изменилась изменился "
     "изменение динамика график",
     NULL},
    {"hour hours час часа часов", NULL},
    {"day days день сутки суток дня", NULL},
    {"week weeks неделя неделю недели", NULL},
    {"month months месяц месяца", NULL},
    {"balance balances funds баланс баланса остаток", "cost"},
    {"server servers vm instance сервер серверы серверов виртуалка виртуалки", NULL},
    {"disk disks diskspace filesystem filesystems storage volume partition mount hdd ssd nvme диск "
     "диски "
     "диска "
     "дисковый файловый раздел том хранилище винт",
     "space inodes iops"},
    {"space room capacity место места пространство ёмкость емкость свободный", "disk filesystem"},
    {"full fill fills filled filling exhausted exhaustion overflow полный полон заполнен "
     "заполнился "
     "заполняется забит забился забивается переполнен закончилось кончилось кончается исчерпан "
     "исчерпаны",
     "space used"},
    {"memory mem ram память памяти озу оперативка", "swap oom used available"},
    {"oom killer kill killed убил убит убивает убивают прибил", "memory kernel"},
    {"swap swapping paging подкачка подкачки своп свопит свопится", "memory"},
    {"slow slowly sluggish lag laggy lags hangs hang freezes stuck unresponsive slowness медленно "
     "медленный медленная тормозит тормозят тормоза тормоз лагает виснет зависает завис подвисает "
     "долго еле тупит",
     "load cpu memory pressure disk"},
    {"load loadavg нагрузка нагружен нагрузки загрузка загружен average avg",
     "cpu pressure processes"},
    {"cpu cpus processor processors cores core процессор процессора цп ядер проц",
     "load usage busy"},
    {"pressure stall psi давление нехватка", "load memory"},
    {"process processes pid task program процесс процессы процессов программа программы задача",
     "cpu "
     "memory"},
    {"eat eats eating hog hogs consume consumes consuming ест жрёт жрет жрут едят съедает съел "
     "съела сожрал грузит грузят потребляет потребляют",
     "top process"},
    {"uses using usage used занимает занимают используется использование занято занял", "top"},
    {"top most biggest largest heaviest больше больший самый самые крупнейший топ", NULL},
    {"network net interface interfaces nic сеть сети сетевой интерфейс интерфейсы сетка",
     "errors drops "
     "traffic"},
    {"traffic bandwidth throughput трафик полоса пропускная", "network bytes"},
    {"packet packets пакет пакеты пакетов", "network"},
    {"loss lost lose losing drop drops dropped потеря потери потерь теряются теряет", "errors"},
    {"dns resolve resolver resolving nameserver lookup днс имён имен имена имя разрешается "
     "резолвит "
     "резолвится резолвер",
     "network"},
    {"port ports порт порты портов", "socket"},
    {"socket sockets connection connections соединение соединения сокет сокеты коннект", "tcp"},
    {"connector connectors integration коннектор коннекторы коннекторов подключение подключения "
     "интеграция",
     "health state"},
    {"health healthy alive well ok fine state status здоров здоровы здорова здоровье жив живы "
     "живой "
     "работает работают исправен исправны состояние статус порядке",
     "error latency"},
    {"fail fails failed failing failure failures broken breaks down crash crashed crashes crashing "
     "упал упала упало упали падает падают сломан сломалось сломался отказ отказал сбой "
     " "
     "лежит лёг рухнул",
     "error state"},
    {"error errors fault ошибка ошибки ошибок ошибку ругается жалуется", NULL},
    {"service services daemon unit units systemd служба службы служб сервис сервисы сервиса юнит "
     "юниты "
     "демон",
     "systemd failed"},
    {"start starts starting startup launch boot booting reboot restart restarts restarted запуск "
     "запускается запустить запустился стартует старт перезапуск перезапустить перезапускается "
     "перезагрузка перезагрузился перезагружали перезагружалась загружается рестарт ребут ребутали",
     NULL},
    {"cost costs spend spending spent price prices bill billing money expense expenses expensive "
     "budget стоимость стоит стоил стоила стоило расход расходы расходов потратили потратил "
     "потрачено ушло "
     "траты трат цена цены деньги денег счёт дорого бюджет обошёлся обошлось",
     "tokens calls ledger"},
    {"today daily day сегодня день дня сегодняшний дневной", NULL},
    {"token tokens токен токены токенов", "cost model"},
    {"evidence log chain ledger audit trail hash журнал журнала лог цепочка цепочки цепочку "
     "доказательства доказательство доказательств аудит хеш",
     "entries verify integrity"},
    {"logs journal journald syslog журналы логи логов журналд", "kernel messages"},
    {"intact integrity tamper tampered tampering verify verifies verified verification valid "
     "altered "
     "broken цел цела цело целы целостность целостности проверка проверить проверь подделан "
     "подмена "
     "изменён подделали нарушена нарушен сходится",
     "chain entries"},
    {"kernel dmesg oops panic ядро ядра ядре паника", "messages"},
    {"message messages сообщение сообщения сообщений", NULL},
    {"certificate certificates cert certs tls ssl x509 https сертификат сертификата сертификаты",
     "expiry"},
    {"expire expires expired expiry expiring expiration истёк истек истекает истекли просрочен "
     "протух протухает срок",
     NULL},
    {"time clock ntp chrony date время времени часы часов часах", NULL},
    {"drift skew wrong off behind ahead сдвиг отстают отстаёт уплыли уплыло расходится спешат "
     "неверное сбились сбилось",
     NULL},
    {"accurate exact correct right synchronised synchronized synced sync точный точные точное "
     "точно "
     "синхронизированы",
     NULL},
    {"inode inodes инод инода иноды инодов айноды", "disk filesystem"},
    {"file files файл файлы файлов", NULL},
    {"open opened descriptor descriptors fd fds nofile открыт открытых открытые дескриптор "
     "дескрипторы "
     "дескрипторов",
     "limit"},
    {"deleted delete removed remove удалён удален удалённый удаленные удалённые удалил удалили "
     "удалить",
     NULL},
    {"limit limits quota maximum лимит лимиты лимита предел ограничение квота", NULL},
    {"read readonly чтение чтения чтению читать", NULL},
    {"write writes writing запись записи писать пишет записать", NULL},
    {"io iops iowait ввод вывод", "disk"},
    {"latency delay delays response задержка задержки отклик ответ отвечает", NULL},
    {"zombie zombies defunct зомби", "process"},
    {"fork forks thread threads bomb поток потоки потоков форк", "process limit"},
    {"runaway stray сбежавший взбесившийся зациклился зацикленный", "process cpu"},
    {"steal stolen hypervisor vm virtual украденное гипервизор виртуалка виртуальная сосед", "cpu"},
    {"model models llm модель модели моделей", NULL},
    {"unavailable unreachable down offline недоступен недоступна недоступны недоступно", NULL},
    {"answer answers reply replies ответ ответы ответов отвечает отвечают", NULL},
    {"host machine box node computer хост машина машине машины узел узла "
     "нода "
     "ноды компьютер тачка",
     NULL},
    {"server servers сервер сервера сервере", "machine host"},
    {"login logon signin sign ssh access вход войти входит зайти заходит логин доступ "
     "доступа "
     "пускает ссх",
     NULL},
    {"password key keys auth authentication пароль ключ ключи ключа аутентификация", NULL},
    {"firewall nftables iptables nft ufw firewalld файрвол фаервол файрволл брандмауэр", "rules"},
    {"rule rules block blocked blocks blocking правило правила правил заблокирован блокирует режет",
     NULL},
    {"conntrack nf_conntrack tracking конттрек коннтрек отслеживание", "table"},
    {"table tables таблица таблицы таблиц", NULL},
    {"tcp retransmit retransmits retransmission retransmissions ретрансмит ретрансмиты повторные "
     "перепосылки",
     "network"},
    {"postgres postgresql psql pg постгрес постгря постгреса postgre", "database"},
    {"database db sql query queries база базы бд субд запрос запросы запросов запроса", NULL},
    {"replication replica standby lag реплика реплики репликация репликации отставание отстаёт",
     "postgres"},
    {"wal pg_wal вал", "postgres"},
    {"grow grows growing growth растёт растет растут рост распух пухнет разросся разрослись", NULL},
    {"redis редис редиса", NULL},
    {"nginx нгинкс нжинкс энджинкс", NULL},
    {"500 502 503 504 5xx gateway пятисотые пятисотки пятисоток", "nginx error"},
    {"web site http page website сайт сайта страница страницы веб", NULL},
    {"docker container containers image images докер докера контейнер контейнеры контейнеров образ "
     "образы образов",
     NULL},
    {"kubernetes k8s kubelet kubectl cluster pod pods кубер кубернетес кубернетис кластер поды "
     "подов",
     NULL},
    {"ready notready готов готова", NULL},
    {"cron crontab timer timers schedule scheduled job jobs крон крона расписание таймер таймеры",
     NULL},
    {"run ran runs running executed execute выполнился выполнилось выполнена запустилась отработал "
     "отработала",
     NULL},
    {"missed skipped missing пропущен пропустил пропустила пропала пропал", NULL},
    {"backup backups dump restore бэкап бэкапы бэкапа бекап резервная резервные резервное копия "
     "копии",
     NULL},
    {"spike jump surge increase rise grew скачок скачет вырос выросла выросли подскочил подскочила "
     "подскочили всплеск взлетели",
     NULL},
    {"degraded degrade degradation деградация деградировал ухудшился", "state"},
    {"noise garbage шум мусор мусорит", NULL},
    {"smart failing dying bad sector sectors сыпется умирает сектор сектора битый", NULL},
    {"temperature hot heat overheat thermal температура греется перегрев", NULL},
    {"uptime аптайм включена", NULL},
    {"compliance score scorecard control controls соответствие контроль контроли контрольные "
     "оценка",
     NULL},
    {"user users пользователь пользователи пользователей юзер", NULL},
    {"size big large huge размер большой большие огромный", NULL},
    {"free cleanup clean purge prune clear очистить почистить освободить чистить очистка", NULL},
    {"version versions версия версии", NULL},
    {"uptime аптайм", "running"},
    {"connected подключены подключён подключен подключена включены", NULL},
    {"chosen choose chose selected picked winner verdict arbitration выбран выбрана выбрали выбор "
     "победил победила вердикт арбитраж",
     NULL},
    {"hello hi hey привет здравствуй здравствуйте thanks спасибо помощь хелп умеешь умеете", NULL},
    {"gap route routes routing gateway маршрут маршруты маршрутизация шлюз шлюза", "network"},
    {"ping пинг пингуется", "network"},
    {"count number many количество число", NULL},
    {"list show which список какие", NULL},
};

enum { IDEAS = sizeof table / sizeof *table, MEMBERS_MAX = 128 };

struct collect {
    struct know__ideas *ideas;
    uint32_t ids[MEMBERS_MAX];
    size_t count, same_cap;
};

static void collect_word(void *arg, const char *stem, size_t len)
{
    struct collect *c = arg;
    uint32_t id = know__map_put(&c->ideas->stems, stem, len);
    for (size_t i = 0; i < c->count; i++)
        if (c->ids[i] == id)
            return;
    BUG_IF(c->count == MEMBERS_MAX - 1);
    c->ids[c->count++] = id;
}

static uint32_t *collect_list(struct know__ideas *ideas, struct know__stemmer *s, const char *words)
{
    struct collect c = {.ideas = ideas};
    if (words != NULL)
        know__stems(s, words, strlen(words), collect_word, &c);
    uint32_t *list = xcalloc(c.count + 1, sizeof *list);
    memcpy(list, c.ids, c.count * sizeof *list);
    list[c.count] = KNOW__NONE;
    return list;
}

/* Notes that a stem stands for an idea; beyond KNOW__IDEAS_PER_STEM ideas the later ones are left
 * out. */
static void note(struct know__ideas *ideas, uint32_t stem, int16_t idea)
{
    for (size_t i = 0; i < KNOW__IDEAS_PER_STEM; i++) {
        if (ideas->same[stem][i] == -1) {
            ideas->same[stem][i] = idea;
            return;
        }
    }
}

void know__ideas_init(struct know__ideas *ideas, struct know__stemmer *s)
{
    *ideas = (struct know__ideas){.count = IDEAS};
    ideas->members = xcalloc(IDEAS, sizeof *ideas->members);
    ideas->related = xcalloc(IDEAS, sizeof *ideas->related);
    for (size_t i = 0; i < IDEAS; i++) {
        ideas->members[i] = collect_list(ideas, s, table[i].same);
        ideas->related[i] = collect_list(ideas, s, table[i].related);
    }
    ideas->same = xcalloc(ideas->stems.count, sizeof *ideas->same);
    memset(ideas->same, 0xFF, ideas->stems.count * sizeof *ideas->same); /* all -1 */
    for (size_t i = 0; i < IDEAS; i++)
        for (const uint32_t *m = ideas->members[i]; *m != KNOW__NONE; m++)
            note(ideas, *m, (int16_t)i);
}

void know__ideas_release(struct know__ideas *ideas)
{
    for (size_t i = 0; i < ideas->count; i++) {
        free(ideas->members[i]);
        free(ideas->related[i]);
    }
    free(ideas->members);
    free(ideas->related);
    free(ideas->same);
    know__map_release(&ideas->stems);
    *ideas = (struct know__ideas){0};
}

void know__each_word(know__word_fn *fn, void *arg)
{
    for (size_t i = 0; i < IDEAS; i++)
        know__words(table[i].same, strlen(table[i].same), fn, arg);
    know__each_stop(fn, arg);
}

const int16_t *know__ideas_of(const struct know__ideas *ideas, const char *stem, size_t len)
{
    uint32_t id = know__map_find(&ideas->stems, stem, len);
    return id == KNOW__NONE ? NULL : ideas->same[id];
}
