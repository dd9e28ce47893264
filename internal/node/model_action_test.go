package node_test

// actions are what may happen to a device that is connected, and how often.
var actions = []struct {
	weight int
	name   string
	do     func(*world, *sess)
}{
	{420, "writes", (*world).sendSome},
	{30, "writes with others", (*world).sendAtOnce},
	{20, "writes and is lost", (*world).sendAndLose},
	{30, "writes again", (*world).sendAgain},
	{90, "reads", (*world).sync},
	{70, "is lost", (*world).lose},
	{20, "closes", (*world).close},
	{15, "closes, as do all of its account", (*world).closeAll},
	{100, "looks how another comes", func(w *world, _ *sess) { w.comeBack() }},
	{50, "changes presence", func(w *world, s *sess) { w.announce(s, !w.chance(6), w.r.IntN(5)-1) }},
	{120, "pages", (*world).browse},
	{80, "opens the inbox", (*world).look},
	{6, "sees a conversation go", (*world).removeSome},
	{8, "sees old rows go", (*world).trim},
	{6, "has its inbox made anew", (*world).rebuild},
	{20, "lets time pass", func(w *world, _ *sess) { w.pass(1 + w.r.IntN(12)) }},
	{4, "sees a restart", func(w *world, _ *sess) { w.restart() }},
}

func (w *world) act() {
	list := w.connected()
	if len(list) == 0 {
		w.comeBack()
		return
	}
	s, sum := pick(w.r, list), 0
	for _, a := range actions {
		sum += a.weight
	}
	n := w.r.IntN(sum)
	for _, a := range actions {
		if n -= a.weight; n < 0 {
			w.trace("%s %s", s.full, a.name)
			a.do(w, s)
			return
		}
	}
}

// comeBack brings a device back, if there is one that is away.
func (w *world) comeBack() {
	var away []*device
	for _, d := range w.devices {
		if d.s == nil || !d.s.connected {
			away = append(away, d)
		}
	}
	if len(away) == 0 {
		return
	}
	d := pick(w.r, away)
	if d.s != nil && !w.chance(4) {
		w.trace("%s resumes", d.s.full)
		w.resume(d.s)
		w.sync(d.s)
		return
	}
	w.trace("%s/%s connects", d.account.jid, d.name)
	s := w.connect(d)
	if w.chance(2) {
		w.browse(s)
	}
	if !w.chance(8) {
		w.announce(s, true, 0)
	}
}
