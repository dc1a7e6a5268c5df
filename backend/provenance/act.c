/* The act of destruction and the extract of the log, for a person to check, complete and sign.
 *
 * Order 179 of Roskomnadzor of 28.10.2022 (in force from 01.03.2023 to 01.03.2029): item 3 lists
 * what the act holds, by letters; item 5 what the extract holds. Neither is signed here, and
 * nothing here says that destroying a key is destruction by an assessed tool. */
#include "backend/base/clock.h"
#include "backend/provenance/retention.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *tag, *ru;
} categories[] = {
    {"email", "адрес электронной почты"},
    {"phone", "номер телефона"},
    {"snils", "СНИЛС"},
    {"inn", "ИНН"},
    {"card", "номер банковской карты"},
    {"passport", "серия и номер паспорта"},
    {"oms", "номер полиса ОМС"},
    {"account", "номер банковского счёта"},
    {"iban", "номер банковского счёта"},
    {"secret", "пароли и ключи доступа"},
};

static const struct {
    const char *class, *ru;
} classes[] = {{"dialogue", "вопросы и ответы (диалог)"},
               {"telemetry", "вызовы инструментов и их результаты (телеметрия)"},
               {"operation", "служебные записи о работе консоли"},
               {"governance", "записи, называвшие субъекта"}};

static json_t *categories_of(const json_t *report)
{
    json_t *out = json_array(), *n;
    const char *tag;
    json_object_foreach((json_t *)json_object_get(report, "tags"), tag, n)
    {
        const char *ru = tag;
        for (size_t i = 0; i < sizeof categories / sizeof *categories; i++)
            if (strcmp(categories[i].tag, tag) == 0)
                ru = categories[i].ru;
        char *text = xasprintf("%s (записей: %lld)", ru, (long long)json_integer_value(n));
        json_array_append_new(out, json_string(text));
        free(text);
    }
    json_object_foreach((json_t *)json_object_get(report, "classes"), tag, n)
    {
        const char *ru = tag;
        for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
            if (strcmp(classes[i].class, tag) == 0)
                ru = classes[i].ru;
        char *text = xasprintf("содержимое записей журнала: %s (записей: %lld)", ru,
                               (long long)json_integer_value(n));
        json_array_append_new(out, json_string(text));
        free(text);
    }
    return out;
}

static char *ranges_text(const json_t *report)
{
    enum { MOST = 40 };
    struct buf text = {0};
    json_t *pair;
    size_t i;
    json_array_foreach(json_object_get(report, "ranges"), i, pair)
    {
        long long first = json_integer_value(json_array_get(pair, 0));
        long long last = json_integer_value(json_array_get(pair, 1));
        if (i == MOST) {
            buf_adds(&text, " и другие (все диапазоны даны в выгрузке)");
            break;
        }
        buf_addf(&text, first == last ? "%s%lld" : "%s%lld-%lld", i ? ", " : "", first, last);
    }
    return buf_take(&text);
}

static char *subject_of(const json_t *report)
{
    const json_t *scope = json_object_get(report, "scope");
    const char *subject = json_str(scope, "subject", "");
    if (*subject)
        return xstrdup(subject);
    char *ranges = ranges_text(report);
    const char *id = json_str(scope, "id", "");
    char *text = xasprintf("субъекты поимённо системе не известны; уничтожено содержимое записей "
                           "журнала № %s%s%s%s",
                           ranges, *id ? ", " : "",
                           !*id                                                ? ""
                           : strcmp(json_str(scope, "kind", ""), "trace") == 0 ? "вопрос "
                                                                               : "сеанс ",
                           id);
    free(ranges);
    return text;
}

static char *method_of(const json_t *report)
{
    const json_t *keys = json_object_get(report, "keys");
    struct buf text = {0};
    buf_addf(&text,
             "зашифрованное содержимое удалено из базы данных (записей: %lld, байт: %lld); ключи "
             "шифрования каждой из них уничтожены (ключей: %lld)",
             (long long)json_int(report, "erased", 0), (long long)json_int(report, "bytes", 0),
             (long long)json_int(keys, "punctured", 0));
    if (json_int(keys, "destroyed", 0))
        buf_addf(&text, "; ключи сеансов прежнего формата уничтожены целиком (сеансов: %lld)",
                 (long long)json_int(keys, "destroyed", 0));
    if (json_int(keys, "whole", 0))
        buf_addf(&text,
                 "; у сеансов прежнего формата один ключ на все записи, он сохранён, пока в сеансе "
                 "есть другие записи (случаев: %lld)",
                 (long long)json_int(keys, "whole", 0));
    buf_adds(&text, json_flag(report, "scrubbed", false)
                        ? "; место в файлах базы перезаписано, журнал упреждающей записи очищен"
                        : "; очистка журнала упреждающей записи не завершена и будет повторена");
    return buf_take(&text);
}

static json_t *notes_of(void)
{
    static const char *const notes[] = {
        "Документ подготовлен программой и не подписан. Без подписи уполномоченного лица (или "
        "электронной подписи по 63-ФЗ) он актом не является.",
        "Уничтожение ключа шифрования само по себе не подтверждает уничтожение по ст. 19 ч. 2 "
        "п. 3.1 152-ФЗ: нужны средства, прошедшие оценку соответствия. Программа их не заменяет.",
        "Сведения относятся к файлам базы этой консоли. Резервные копии, выгрузки, сделанные "
        "раньше, и блоки, которые хранит файловая система или накопитель, уничтожаются отдельно.",
        "Акт и выгрузка хранятся три года со дня уничтожения (приказ № 179)."};
    json_t *out = json_array();
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++)
        json_array_append_new(out, json_string(notes[i]));
    return out;
}

static void put_owned(json_t *to, const char *key, char *text)
{
    json_puts(to, key, text);
    free(text);
}

static json_t *act_of(const struct prov_operator *o, const json_t *report)
{
    json_t *act = json_object(), *operator= json_object(), *person = json_object(),
           *persons = json_array();
    json_puts(act, "id", json_str(report, "act", ""));
    json_puts(act, "title", "Акт об уничтожении персональных данных (проект, без подписи)");
    json_puts(operator, "name", o->name);
    json_puts(operator, "address", o->address);
    json_puts(operator, "inn", o->inn);
    json_put(act, "operator", operator);
    json_puts(act, "processor",
              *o->processor ? o->processor : "обработка третьим лицам не поручалась");
    put_owned(act, "subject", subject_of(report));
    json_puts(person, "name", o->responsible);
    json_puts(person, "position", o->position);
    json_puts(person, "signature", "");
    json_array_append_new(persons, person);
    json_put(act, "destroyed_by", persons);
    json_puts(act, "carried_out_by", json_str(report, "by", ""));
    json_put(act, "categories", categories_of(report));
    json_puts(act, "carriers",
              "не применимо: данные обрабатывались с использованием средств автоматизации");
    json_puts(act, "system", o->system);
    put_owned(act, "method", method_of(report));
    json_puts(act, "reason", json_str(report, "reason", ""));
    json_puts(act, "basis", json_str(report, "basis", ""));
    json_puts(act, "date", json_str(report, "at", ""));
    json_put(act, "notes", notes_of());
    return act;
}

static json_t *extract_of(const json_t *act, const json_t *report)
{
    static const char *const same[] = {"subject", "categories", "system", "reason", "date"};
    json_t *extract = json_object();
    json_puts(extract, "title", "Выгрузка из журнала регистрации событий");
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        json_put(extract, same[i], json_incref(json_object_get(act, same[i])));
    json_put(extract, "request", json_incref(json_object_get(report, "request")));
    json_put(extract, "entries", json_incref(json_object_get(report, "entries")));
    json_put(extract, "ranges", json_incref(json_object_get(report, "ranges")));
    return extract;
}

json_t *prov_act(const struct prov_operator *o, const json_t *report)
{
    json_t *out = json_object(), *act = act_of(o, report);
    json_puts(out, "order", "Приказ Роскомнадзора от 28.10.2022 № 179");
    json_put(out, "act", act);
    json_put(out, "extract", extract_of(act, report));
    json_put(out, "missing", prov_act_missing(out));
    return out;
}

/* ---- what the order asks for */

static bool says_something(const json_t *value)
{
    if (json_is_array(value)) {
        size_t i;
        json_t *one;
        json_array_foreach((json_t *)value, i, one) if (!says_something(one)) return false;
        return json_array_size(value) > 0;
    }
    return json_is_string(value) && *json_string_value(value);
}

json_t *prov_act_missing(const json_t *document)
{
    /* item 3, letters а to к but г; item 5 */
    static const char *const in_act[] = {"processor", "subject", "categories", "carriers",
                                         "system",    "method",  "reason",     "date"};
    static const char *const in_extract[] = {"subject", "categories", "system", "reason", "date"};
    json_t *missing = json_array(), *person;
    const json_t *act = json_object_get(document, "act"),
                 *extract = json_object_get(document, "extract"),
                 *operator= json_object_get(act, "operator"),
                 *persons = json_object_get(act, "destroyed_by");
    size_t i;
    if (!says_something(json_object_get(operator, "name")))
        json_array_append_new(missing, json_string("operator.name"));
    if (!says_something(json_object_get(operator, "address")))
        json_array_append_new(missing, json_string("operator.address"));
    json_array_foreach((json_t *)persons, i, person)
    {
        if (!says_something(json_object_get(person, "name")))
            json_array_append_new(missing, json_string("destroyed_by.name"));
        if (!says_something(json_object_get(person, "position")))
            json_array_append_new(missing, json_string("destroyed_by.position"));
    }
    if (json_array_size(persons) == 0)
        json_array_append_new(missing, json_string("destroyed_by"));
    for (i = 0; i < sizeof in_act / sizeof *in_act; i++)
        if (!says_something(json_object_get(act, in_act[i])))
            json_array_append_new(missing, json_string(in_act[i]));
    for (i = 0; i < sizeof in_extract / sizeof *in_extract; i++) {
        char *name = xasprintf("extract.%s", in_extract[i]);
        if (!says_something(json_object_get(extract, in_extract[i])))
            json_array_append_new(missing, json_string(name));
        free(name);
    }
    return missing;
}

/* ---- as a text */

static const char *or_blank(const char *text)
{
    return *text ? text : "______________________________";
}

static void add_list(struct buf *out, const json_t *list)
{
    size_t i;
    json_t *one;
    json_array_foreach((json_t *)list, i, one)
        buf_addf(out, "   - %s\n", json_is_string(one) ? json_string_value(one) : "");
}

static void add_numbers(struct buf *out, const json_t *list)
{
    size_t i;
    json_t *one;
    json_array_foreach((json_t *)list, i, one)
    {
        if (json_is_array(one))
            buf_addf(out, "%s%lld-%lld", i ? ", " : "",
                     (long long)json_integer_value(json_array_get(one, 0)),
                     (long long)json_integer_value(json_array_get(one, 1)));
        else
            buf_addf(out, "%s%lld", i ? ", " : "", (long long)json_integer_value(one));
    }
    buf_addc(out, '\n');
}

static void add_act(struct buf *out, const json_t *act)
{
    const json_t *operator= json_object_get(act, "operator"),
                 *person = json_array_get(json_object_get(act, "destroyed_by"), 0);
    buf_addf(out, "а) Оператор: %s\n   Адрес: %s\n", or_blank(json_str(operator, "name", "")),
             or_blank(json_str(operator, "address", "")));
    if (*json_str(operator, "inn", ""))
        buf_addf(out, "   ИНН: %s\n", json_str(operator, "inn", ""));
    buf_addf(out, "б) Обработка по поручению: %s\n", json_str(act, "processor", ""));
    buf_addf(out, "в) Субъект или иные сведения о нём: %s\n", json_str(act, "subject", ""));
    buf_addf(out, "г) Уничтожил: %s\n   Должность: %s\n   Подпись: %s\n",
             or_blank(json_str(person, "name", "")), or_blank(json_str(person, "position", "")),
             or_blank(""));
    buf_adds(out, "д) Категории уничтоженных данных:\n");
    add_list(out, json_object_get(act, "categories"));
    buf_addf(out, "е) Материальные носители: %s\n", json_str(act, "carriers", ""));
    buf_addf(out, "ж) Информационная система: %s\n", json_str(act, "system", ""));
    buf_addf(out, "з) Способ уничтожения: %s\n", json_str(act, "method", ""));
    buf_addf(out, "и) Причина: %s\n", json_str(act, "reason", ""));
    if (*json_str(act, "basis", ""))
        buf_addf(out, "   Основание: %s\n", json_str(act, "basis", ""));
    buf_addf(out, "к) Дата уничтожения: %s (UTC)\n", json_str(act, "date", ""));
    buf_addf(out, "Выполнено в системе под ролью: %s\n", json_str(act, "carried_out_by", ""));
}

char *prov_act_text(const json_t *document)
{
    struct buf out = {0};
    const json_t *act = json_object_get(document, "act"),
                 *extract = json_object_get(document, "extract");
    buf_addf(&out, "АКТ ОБ УНИЧТОЖЕНИИ ПЕРСОНАЛЬНЫХ ДАННЫХ № %s\n(проект, без подписи)\n\n",
             json_str(act, "id", ""));
    add_act(&out, act);
    buf_adds(&out, "\nВЫГРУЗКА ИЗ ЖУРНАЛА РЕГИСТРАЦИИ СОБЫТИЙ\n\n");
    buf_addf(&out, "а) Субъект или иные сведения о нём: %s\n", json_str(extract, "subject", ""));
    buf_adds(&out, "б) Категории уничтоженных данных:\n");
    add_list(&out, json_object_get(extract, "categories"));
    buf_addf(&out, "в) Информационная система: %s\nг) Причина: %s\nд) Дата: %s (UTC)\n",
             json_str(extract, "system", ""), json_str(extract, "reason", ""),
             json_str(extract, "date", ""));
    buf_addf(&out, "Запись о запросе: № %lld\nЗаписи об уничтожении: № ",
             (long long)json_int(extract, "request", -1));
    add_numbers(&out, json_object_get(extract, "entries"));
    buf_adds(&out, "Записи, содержимое которых уничтожено: № ");
    add_numbers(&out, json_object_get(extract, "ranges"));
    buf_adds(&out, "\nПРИМЕЧАНИЯ\n");
    add_list(&out, json_object_get(act, "notes"));
    if (json_array_size(json_object_get(document, "missing"))) {
        buf_adds(&out, "\nНЕ ЗАПОЛНЕНО (заполните до подписания):\n");
        add_list(&out, json_object_get(document, "missing"));
    }
    return buf_take(&out);
}
