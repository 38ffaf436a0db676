import Engine
import GuestKernel
import Image
import Probes

extension SelfTest {
  /// The target of the first tests: called once with 84 it returns 42.
  private static let target = "kprobe_target"

  static var kprobes: Suite {
    Suite(
      name: "kprobes_test",
      cases: [
        Case("test_kprobe") { rig in
          var calls: [String] = []
          // kretprobe_target calls it too.
          let probe = try rig.probes.registerKprobe(
            KprobeRequest(
              .symbol(target),
              pre: {
                calls.append("pre \($0.argument(1) ?? 0)")
                return .continue
              }, post: { _ in calls.append("post") }))
          try rig.runTargets()
          rig.expect(calls, is: ["pre 84", "post", "pre 82", "post"], "calls of the handlers")
          rig.expect(probe.hits, is: 2, "hits")
        },
        Case("test_kprobes") { rig in
          let probes = try [target, "kprobe_target2"].map {
            try rig.probes.registerKprobe(
              KprobeRequest(.symbol($0), pre: { _ in .continue }, post: { _ in }))
          }
          try rig.runTargets()
          rig.expect(probes.map(\.hits), is: [2, 1], "hits")
          probes.forEach(rig.probes.unregister)
        },
        Case("test_kprobe_on_one_address") { rig in
          var order: [Int] = []
          for number in 0..<3 {
            _ = try rig.probes.registerKprobe(
              KprobeRequest(
                .symbol("kprobe_target2"),
                pre: { _ in
                  order.append(number)
                  return .continue
                }))
          }
          try rig.runTargets()
          rig.expect(order.sorted(), is: [0, 1, 2], "handlers that ran")
        },
        Case("test_kprobe_disable") { rig in
          let address = try rig.symbol(target)
          let before = rig.machine.kernel.readKernel(address, 4)
          let probe = try rig.probes.registerKprobe(
            KprobeRequest(.symbol(target), pre: { _ in .continue }))
          rig.expect(
            rig.machine.kernel.readKernel(address, 4) != before, "the text has no break")
          try rig.probes.setEnabled(probe, false)
          rig.expect(
            rig.machine.kernel.readKernel(address, 4) == before, "the text was not restored")
          try rig.runTargets()
          rig.expect(probe.hits, is: 0, "hits while disabled")
        },
        Case("test_kprobe_override") { rig in
          // The function returns at once with a result of its own: one result is wrong then, which
          // the handler of the caller's return takes off the number of wrong ones.
          _ = try rig.probes.registerKretprobe(
            KretprobeRequest(.symbol("run_probe_targets"), ret: { $0.returnValue &-= 1 }))
          var skipped = 0
          _ = try rig.probes.registerKprobe(
            KprobeRequest(
              .symbol("kprobe_target2"),
              pre: { hit in
                skipped += 1
                return hit.overrideFunction(returning: 1)
              }))
          try rig.runTargets()
          rig.expect(skipped, is: 1, "calls that were skipped")
        },
        Case("test_kretprobe") { rig in
          var values: [UInt64] = []
          let probe = try rig.probes.registerKretprobe(
            KretprobeRequest(
              .symbol("kretprobe_target"), entry: { $0.argument(1) == 82 },
              ret: { values.append($0.returnValue) }))
          try rig.runTargets()
          rig.expect(values, is: [42], "values that were returned")
          rig.expect(probe.nmissed, is: 0, "missed")
        },
        Case("test_kretprobes") { rig in
          let probes = try [target, "kprobe_target2", "kretprobe_target"].map {
            try rig.probes.registerKretprobe(KretprobeRequest(.symbol($0), ret: { _ in }))
          }
          try rig.runTargets()
          rig.expect(probes.map(\.hits), is: [2, 1, 1], "returns")
        },
        Case("test_kretprobe_missed") { rig in
          // fib(10): 177 calls, ten deep.
          let few = try rig.probes.registerKretprobe(
            KretprobeRequest(.symbol("probe_fib"), maxactive: 3, ret: { _ in }))
          try rig.runTargets()
          rig.expect(few.hits &+ few.nmissed, is: 177, "returns and misses")
          rig.expect(few.nmissed > 0, "none was missed with room for three")
          rig.expect(few.active, is: 0, "calls under way at the end")
        },
        Case("test_kretprobe_recursion") { rig in
          let probe = try rig.probes.registerKretprobe(
            KretprobeRequest(.symbol("probe_fib"), maxactive: 16, ret: { _ in }))
          try rig.runTargets()
          rig.expect(probe.hits, is: 177, "returns")
          rig.expect(probe.nmissed, is: 0, "missed")
        },
        Case("test_kretprobe_tail_calls") { rig in
          let names = ["probe_tail_first", "probe_tail_second", "probe_tail_third"]
          let starts = try names.map(rig.symbol)
          var seen: [UInt64] = []
          for name in names {
            _ = try rig.probes.registerKretprobe(
              KretprobeRequest(.symbol(name), ret: { seen.append($0.function) }))
          }
          try rig.runTargets()
          rig.expect(seen, is: starts.reversed(), "functions that returned")
        },
        Case("test_stacktrace_on_kretprobe") { rig in
          let caller = try rig.symbol("run_probe_targets")
          let end = caller &+ 256
          var found: [[UInt64]] = []
          _ = try rig.probes.registerKretprobe(
            KretprobeRequest(
              .symbol("kretprobe_target"), ret: { found.append(rig.probes.stackTrace($0)) }))
          try rig.runTargets()
          rig.expect(found.count, is: 1, "traces")
          rig.expect(
            found.allSatisfy { $0.first.map { (caller..<end).contains($0) } ?? false },
            "the trace does not begin in the caller")
        },
        Case("test_stacktrace_on_nested_kretprobe") { rig in
          // Where the traces of each function's returns begin: in its caller.
          var callers: [String: [String]] = [:]
          var trampolines: [UInt64] = []
          for name in ["kretprobe_target", target] {
            _ = try rig.probes.registerKretprobe(
              KretprobeRequest(
                .symbol(name),
                ret: { hit in
                  let trace = rig.probes.stackTrace(hit)
                  trampolines += trace.filter(rig.probes.kernelSlots.contains)
                  let caller = trace.first.flatMap { rig.machine.kernel.image?.symbol(at: $0) }
                  callers[name, default: []].append(caller?.name ?? "nowhere")
                }))
          }
          try rig.runTargets()
          rig.expect(
            callers[target] ?? [], is: ["run_probe_targets", "kretprobe_target"], "inner callers")
          rig.expect(
            callers["kretprobe_target"] ?? [], is: ["run_probe_targets"], "outer callers")
          rig.expect(trampolines, is: [], "addresses of the trampoline in traces")
        },
      ])
  }

  static var kernelText: Suite {
    Suite(
      name: "kprobes_text",
      cases: [
        Case("every_insn_of_the_targets") { rig in
          let first = try rig.symbol("kprobe_target")
          let last = try rig.symbol("run_probe_targets")
          var made: [Kprobe] = []
          var refused = 0
          guard let elf = rig.machine.kernel.image?.elf else { return }
          InsnSweep(elf, rig.probes.isa, in: first..<last).visit { address, _ in
            do throws(ProbeError) {
              made.append(
                try rig.probes.registerKprobe(
                  KprobeRequest(.address(address), pre: { _ in .continue }, post: { _ in })))
            } catch { refused += 1 }
          }
          try rig.runTargets(count: 3)
          let hit = made.filter { $0.hits > 0 }
          rig.expect(hit.count > 80, "only \(hit.count) instructions were hit")
          rig.expect(made.allSatisfy { $0.nmissed == 0 }, "some hits were missed")
          rig.note(
            "\(made.count) probed, \(hit.count) hit, "
              + "\(made.reduce(0) { $0 &+ $1.hits }) hits, \(refused) refused")
        },
        Case("every_insn_of_the_kernel") { rig in
          guard let elf = rig.machine.kernel.image?.elf else { return }
          var made: [Kprobe] = []
          InsnSweep(elf, rig.probes.isa, in: InsnSweep.kernelText(elf)).visit { address, _ in
            if let probe = try? rig.probes.registerKprobe(
              KprobeRequest(.address(address), pre: { _ in .continue }))
            {
              made.append(probe)
            }
          }
          try rig.run("f")
          let hit = made.filter { $0.hits > 0 }
          rig.expect(hit.count > 200, "only \(hit.count) instructions were hit")
          rig.note("\(made.count) probed, \(hit.count) hit")
        },
        Case("insn_boundary") { rig in
          let start = try rig.symbol("kretprobe_target")
          guard let elf = rig.machine.kernel.image?.elf else { return }
          var boundaries: Set<UInt64> = []
          InsnSweep(elf, rig.probes.isa, in: start..<start &+ 256).visit { address, _ in
            boundaries.insert(address)
          }
          var taken = 0
          for offset in 0..<UInt64(256) {
            let isBoundary = boundaries.contains(start &+ offset)
            do throws(ProbeError) {
              _ = try rig.probes.checkKprobe(.address(start &+ offset))
              taken += 1
              rig.expect(isBoundary, "+\(offset) was taken inside an instruction")
            } catch {
              // At a boundary only what can't be displaced is refused.
              rig.expect(error.errno, is: isBoundary ? .EINVAL : .EILSEQ, "+\(offset)")
            }
          }
          rig.expect(taken > boundaries.count / 2, "only \(taken) places were taken")
        },
        Case("blacklist") { rig in
          let entry = rig.architecture == .riscv64 ? "handle_exception" : "asm_exc_int3"
          for name in [entry, "_start", "gate_call", "kprobe_insn_slots"] {
            rig.refused(.EINVAL, name) {
              _ = try rig.probes.registerKprobe(KprobeRequest(.symbol(name)))
            }
          }
          rig.refused(.ENOENT, "an unknown symbol") {
            _ = try rig.probes.registerKprobe(KprobeRequest(.symbol("no_such_function")))
          }
        },
        Case("unregister_restores_the_text") { rig in
          let start = try rig.symbol("probe_leaf")
          let before = rig.machine.kernel.readKernel(start, 64)
          let probes = (0..<64).compactMap {
            try? rig.probes.registerKprobe(KprobeRequest(.address(start &+ UInt64($0))))
          }
          rig.expect(probes.count > 10, "only \(probes.count) probes")
          probes.forEach(rig.probes.unregister)
          rig.expect(rig.machine.kernel.readKernel(start, 64) == before, "the text differs")
          try rig.runTargets()
        },
      ])
  }
}
