import Probes

extension Verification {
  /// Statuses of `emu verify`.
  public enum Status {
    /// The runs were equal.
    public static let equal: Int32 = 0
    /// They were not.
    public static let different: Int32 = 1
  }

  /// Runs a program twice and says what came of it.
  public static func run(_ command: [String], _ options: Options) -> RunReport {
    do {
      let verification = try Verification(command, options)
      return verification.run().text(command.first ?? "")
    } catch let error as LaunchError {
      return RunReport(status: error.status, error.description)
    } catch let error as ProbePlaceError {
      var report = RunReport(status: RunReport.Status.usage)
      report.messages = error.lines
      return report
    } catch let error as EventError {
      var report = RunReport(status: RunReport.Status.usage)
      report.messages = error.lines
      return report
    } catch {
      return RunReport(status: RunReport.Status.failure, "\(error)")
    }
  }
}

extension Verification.Report {
  /// The report as lines and a status.
  func text(_ program: String) -> RunReport {
    var lines: [String] = []
    var status = Verification.Status.equal
    let compared = "\(grouped(insns)) instructions of \(tasks) task\(tasks == 1 ? "" : "s")"
    if let difference {
      status = Verification.Status.different
      lines.append("verify: \(program): first difference after \(compared)")
      lines += difference.map { "  " + $0 }
    } else if exit == .interrupted {
      status = RunReport.Status.interrupted
      lines.append("verify: \(program): interrupted; no difference in \(compared)")
    } else {
      lines.append("verify: \(program): no difference in \(compared)")
    }
    lines.append("  compared      \(grouped(stores)) stores")
    if kernelInsns > 0 {
      lines.append("                \(grouped(kernelInsns)) instructions of the kernel")
    }
    lines.append(
      "  probes        \(grouped(UInt64(coverage.places))) place\(coverage.places == 1 ? "" : "s"); "
        + "\(grouped(UInt64(coverage.refused))) take none")
    if coverage.leftOut > 0 {
      lines.append(
        "                the limit: \(grouped(UInt64(coverage.leftOut))) more instructions have none"
      )
    }
    for (name, sums) in [
      ("out of line", coverage.outOfLine), ("simulated", coverage.simulated),
    ] {
      let pad = String(repeating: " ", count: max(14 - name.count, 1))
      lines.append(
        "  \(name)\(pad)\(grouped(UInt64(sums.insns))) instructions, "
          + "\(sums.mnemonics.count) mnemonics, \(grouped(sums.hits)) hits")
    }
    if isEveryInsn, insns > coverage.programHits {
      lines.append(
        "  no probe      \(grouped(insns &- coverage.programHits)) of the program's instructions "
          + "were run without a hit")
    }
    switch exit {
    case .ended(.exited(let code)): lines.append("  the program   exits with \(code)")
    case .ended(.killed(let signal)): lines.append("  the program   is killed by signal \(signal)")
    case .ended(.panicked(let why)): lines.append("  the kernel    panics: \(why)")
    case .limit: lines.append("  the program   was stopped at the limit")
    case .stuck: lines.append("  the program   waits, and nothing can wake it")
    case .interrupted, nil: break
    }
    var report = RunReport(status: status)
    report.messages = lines
    return report
  }
}
