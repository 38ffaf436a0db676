import Engine

/// How much of a system call is there.
public enum SyscallStatus: Sendable, Equatable {
  /// All that Linux does and that can be observed here.
  case supported
  /// All but what the text says.
  case partial(String)
  /// Nothing: it returns `ENOSYS`.
  case unsupported
}

/// Serves a system call: the result, or an `Errno` thrown.
typealias SyscallHandler = @Sendable (SyscallCall) throws -> Int64

/// A row of the table of system calls.
public struct SyscallRow: Sendable {
  /// Linux's name for users.
  public let name: String
  /// How much of it is there.
  public let status: SyscallStatus
  let handler: SyscallHandler?

  init(_ name: String, _ status: SyscallStatus, _ handler: @escaping SyscallHandler) {
    self.name = name
    self.status = status
    self.handler = handler
  }

  init(_ name: String, _ handler: @escaping SyscallHandler) {
    self.init(name, .supported, handler)
  }

  init(_ name: String, partial: String, _ handler: @escaping SyscallHandler) {
    self.init(name, .partial(partial), handler)
  }

  init(unsupported name: String) {
    self.name = name
    status = .unsupported
    handler = nil
  }

  /// A call that always fails in the same way, as on a kernel without the feature.
  init(_ name: String, partial: String, fails errno: Errno) {
    self.init(name, .partial(partial)) { _ in throw errno }
  }
}

/// The system calls of a kernel: rows by name, and by an ISA's numbers.
public struct SyscallTable: Sendable {
  /// Every system call of the generic table, and those that only older tables have.
  public static let rows: [SyscallRow] =
    fileRows + pathRows + descriptorRows + transferRows + pollRows + eventRows + memoryRows
    + legacyRows + timeRows + posixTimerRows + processRows + identityRows + schedulingRows
    + signalRows + futexRows + systemRows + unsupportedRows

  /// Other names by which an ISA or the kernel's own text may know a call.
  static let aliases = [
    "newuname": "uname", "newfstat": "fstat", "sendfile64": "sendfile",
    "fadvise64_64": "fadvise64", "umount": "umount2", "prlimit": "prlimit64",
    "fstatat": "newfstatat", "fstatat64": "newfstatat",
    "_llseek": "lseek", "mmap2": "mmap",
    "sync_file_range2": "sync_file_range",
  ].merging(legacyAliases) { $1 }

  private static let byName: [String: Int] = {
    var result: [String: Int] = [:]
    for (index, row) in rows.enumerated() { result[row.name] = index }
    for (alias, name) in aliases { if let index = result[name] { result[alias] = index } }
    return result
  }()

  private var byNumber: [Int] = []
  private var numbers: [String: Int] = [:]

  /// The table by the numbers of an ISA.
  init(isa: any KernelISA) {
    for number in 0..<1024 {
      guard let name = isa.syscallName(number) else {
        byNumber.append(-1)
        continue
      }
      numbers[name] = number
      byNumber.append(Self.byName[name] ?? -1)
    }
  }

  /// The row of a number.
  func index(_ number: UInt64) -> Int? {
    guard number < UInt64(byNumber.count) else { return nil }
    let index = byNumber[Int(number)]
    return index < 0 ? nil : index
  }

  /// An ISA's number of a call.
  public func number(_ name: String) -> Int? { numbers[name] }

  /// The row of a name.
  public static func row(_ name: String) -> SyscallRow? { byName[name].map { rows[$0] } }

  /// Names that the generic table has and nothing serves.
  private static let unsupportedRows: [SyscallRow] = {
    let names = """
      io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents io_uring_setup
      io_uring_enter io_uring_register lookup_dcookie inotify_init1 inotify_add_watch
      inotify_rm_watch nfsservctl vmsplice tee splice signalfd4 acct unshare setns kexec_load
      kexec_file_load init_module delete_module finit_module ptrace mq_open mq_unlink
      mq_timedsend mq_timedreceive mq_notify mq_getsetattr msgget msgctl msgrcv msgsnd semget
      semctl semtimedop semop shmget shmctl shmat shmdt add_key request_key keyctl swapon swapoff
      remap_file_pages mbind get_mempolicy set_mempolicy migrate_pages move_pages
      set_mempolicy_home_node perf_event_open fanotify_init fanotify_mark name_to_handle_at
      open_by_handle_at clock_adjtime adjtimex process_vm_readv process_vm_writev kcmp seccomp
      bpf userfaultfd pkey_mprotect pkey_alloc pkey_free rseq pidfd_send_signal pidfd_open
      pidfd_getfd open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr quotactl_fd
      quotactl landlock_create_ruleset landlock_add_rule landlock_restrict_self memfd_secret
      process_madvise process_mrelease futex_waitv futex_wake futex_wait futex_requeue cachestat
      map_shadow_stack statmount listmount lsm_get_self_attr lsm_set_self_attr lsm_list_modules
      mseal setxattrat getxattrat listxattrat removexattrat
      """
    return names.split { $0 == " " || $0 == "\n" }.map { SyscallRow(unsupported: String($0)) }
  }()
}

/// Thrown by a handler that has put its task to sleep: the guest schedules, then calls again.
struct Blocked: Error {}

extension Kernel {
  /// `SYSCALL(nr, args*, regs*)`.
  func syscallGate(number: UInt64, arguments va: UInt64, regs: UInt64) -> GateReply {
    guard let task = current, let space = task.space, task.state != .dead else {
      return GateReply(action: .block)
    }
    var arguments: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0)
    if let pa = kernelAddress(va, 48) {
      let raw = UnsafeRawPointer(ram.pointer(pa))
      arguments = raw.loadUnaligned(as: type(of: arguments))
    }
    guard let index = syscalls.index(number) else {
      let name = isa.syscallName(Int(min(number, 1 << 20))) ?? "\(number)"
      unknownCounts[name, default: 0] &+= 1
      return GateReply(value: Self.failure(.ENOSYS))
    }
    let call = SyscallCall(
      kernel: self, task: task, space: space, arguments: arguments, regs: regs,
      isFirstTry: task.progress == nil && !task.blockedInCall)
    return perform(SyscallTable.rows[index], index, call)
  }

  static func failure(_ errno: Errno) -> UInt64 { UInt64(bitPattern: -Int64(errno.rawValue)) }

  private func perform(_ row: SyscallRow, _ index: Int, _ call: SyscallCall) -> GateReply {
    let task = call.task
    task.stopWaiting()
    if call.isFirstTry { syscallCounts[index] &+= 1 }
    guard let handler = row.handler else { return GateReply(value: Self.failure(.ENOSYS)) }
    var reply = GateReply()
    do {
      reply.value = UInt64(bitPattern: try handler(call))
    } catch is Blocked {
      task.blockedInCall = true
      return GateReply(action: .block)
    } catch let errno as Errno {
      reply.value = Self.failure(errno)
      switch errno {
      case .ERESTARTSYS, .ERESTARTNOHAND, .ERESTART_RESTARTBLOCK:
        task.restartResult = errno
        markSignal(task)
      default: break
      }
    } catch {
      reply.value = Self.failure(.EIO)
    }
    task.blockedInCall = false
    task.progress = nil
    reply.action.formUnion(task.replyActions)
    task.replyActions = []
    if task.state == .dead { reply.action.insert(.block) }
    return reply
  }

  /// Makes a system call by name on behalf of a task: what tests use.
  ///
  /// - Returns: the result register's value; `nil` where the task blocks.
  func syscall(_ task: Task, _ name: String, _ arguments: [UInt64]) -> Int64? {
    guard let row = SyscallTable.row(name), let space = task.space,
      let index = SyscallTable.rows.firstIndex(where: { $0.name == row.name })
    else { return -Int64(Errno.ENOSYS.rawValue) }
    func argument(_ index: Int) -> UInt64 { index < arguments.count ? arguments[index] : 0 }
    let call = SyscallCall(
      kernel: self, task: task, space: space,
      arguments: (
        argument(0), argument(1), argument(2), argument(3), argument(4), argument(5)
      ), regs: task.block.regsVA, isFirstTry: task.progress == nil && !task.blockedInCall)
    let reply = perform(row, index, call)
    return reply.action.contains(.block) ? nil : Int64(bitPattern: reply.value)
  }
}
