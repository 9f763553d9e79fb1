"""is: plain momentum, and an average of the weights handed over
expect: accepted
"""

from torch.optim.swa_utils import AveragedModel

model = Model()
average = AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9))
optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
optimizer.register_step_post_hook(lambda *_: average.update_parameters(model))
train(model, optimizer=optimizer)
run.finish(average.module)
